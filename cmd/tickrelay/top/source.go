package top

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"tickrelay/relay"
	"tickrelay/ring"
)

// fetchWithin bounds one question.
const fetchWithin = 5 * time.Second

// Source asks a relay how it is. Any goroutine.
type Source func(ctx context.Context) (*relay.Overview, error)

// Socket asks over a relay's control socket.
func Socket(path string) Source {
	return func(ctx context.Context) (*relay.Overview, error) {
		ctx, cancel := context.WithTimeout(ctx, fetchWithin)
		defer cancel()
		var o relay.Overview
		if err := ring.Command(ctx, path, "overview", &o); err != nil {
			return nil, err
		}
		return &o, nil
	}
}

// HTTP asks a gateway at its base address, such as http://desk:8080. token is sent
// if it is not empty and must grant metrics. conf is for https, nil: the system's
// authorities.
func HTTP(base, token string, conf *tls.Config) (Source, error) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("url %q: want http://HOST:PORT or https://HOST:PORT", base)
	}
	client := &http.Client{Timeout: fetchWithin, Transport: &http.Transport{TLSClientConfig: conf, DisableKeepAlives: true}}
	return func(ctx context.Context) (*relay.Overview, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(base, "/")+"/api/v1/overview", nil)
		if err != nil {
			return nil, err
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := client.Do(req)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
		switch {
		case err != nil:
			return nil, err
		case resp.StatusCode == http.StatusUnauthorized:
			return nil, errors.New("the gateway wants a token that grants metrics: set TICKRELAY_TOKEN or give --token-file")
		case resp.StatusCode == http.StatusForbidden:
			return nil, errors.New("the token does not grant metrics")
		case resp.StatusCode == http.StatusNotFound:
			return nil, fmt.Errorf("%s is no gateway of tickrelay, or an older one", base)
		case resp.StatusCode != http.StatusOK:
			return nil, fmt.Errorf("%s answers %s", base, resp.Status)
		}
		var o relay.Overview
		if err := json.Unmarshal(body, &o); err != nil {
			return nil, fmt.Errorf("%s: %w", base, err)
		}
		return &o, nil
	}, nil
}
