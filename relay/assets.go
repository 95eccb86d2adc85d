package relay

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"

	"github.com/valyala/fasthttp"
)

// webFiles are the page, and the JavaScript client that it uses, at /client/tickrelay.js.
//
//go:embed web/index.html web/*.css web/*.svg web/js/*.js web/client/*.js web/client/*.d.ts
var webFiles embed.FS

// asset is one file of the page.
type asset struct {
	body  []byte
	mime  string
	etag  string
	index bool
}

// contentPolicy allows the page its own files and its own WebSocket, nothing else:
// no inline script or style, no third party, no framing.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func loadAssets() (map[string]asset, error) {
	mimes := map[string]string{".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
		".js": "text/javascript; charset=utf-8", ".ts": "text/plain; charset=utf-8", ".svg": "image/svg+xml"}
	assets := map[string]asset{}
	err := fs.WalkDir(webFiles, "web", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		body, err := webFiles.ReadFile(name)
		if err != nil {
			return err
		}
		mime, ok := mimes[path.Ext(name)]
		if !ok {
			return fmt.Errorf("relay: %s: no content type for its suffix", name)
		}
		sum := sha256.Sum256(body)
		a := asset{body: body, mime: mime, etag: `"` + hex.EncodeToString(sum[:12]) + `"`}
		if name == "web/index.html" {
			a.index = true
			assets["/"] = a
			return nil
		}
		assets[name[len("web"):]] = a
		return nil
	})
	return assets, err
}

// page answers with a file of the page.
func (h *httpServer) page(ctx *fasthttp.RequestCtx, p string) bool {
	a, ok := h.web[p]
	if !ok {
		return false
	}
	head := &ctx.Response.Header
	head.Set("ETag", a.etag)
	head.Set("Cache-Control", "no-cache")
	head.Set("Content-Security-Policy", contentPolicy)
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Cross-Origin-Opener-Policy", "same-origin")
	if string(ctx.Request.Header.Peek("If-None-Match")) == a.etag {
		ctx.SetStatusCode(fasthttp.StatusNotModified)
		return true
	}
	ctx.SetContentType(a.mime)
	ctx.SetBody(a.body)
	return true
}
