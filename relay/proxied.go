package relay

import (
	"errors"

	"tickrelay/nettune/proxyproto"
)

// proxied deals with the PROXY protocol at the beginning of a connection and reports
// whether h.bytes are the client's own from now on. A trusted proxy must send a
// header: without one the proxy itself would be counted as the client. Nobody else
// may: it would name itself.
func (a *acceptor) proxied(h *head) bool {
	header, n, err := proxyproto.Parse(h.bytes)
	switch {
	case errors.Is(err, proxyproto.ErrIncomplete):
		// "P" may become PROXY or POST; a stranger's POST is not held up by this,
		// for its second byte decides.
		return false
	case !h.trusted && errors.Is(err, proxyproto.ErrNone):
	case h.trusted && err == nil:
		if !header.Local {
			h.client = header.Source.Addr()
		}
		h.bytes = append(h.bytes[:0], h.bytes[n:]...)
	default:
		if a.stats.refused[refusedProxy].Load() == 0 {
			a.g.cfg.Log.Warn("connection refused: PROXY protocol header missing, wrong or not expected; later ones are counted only",
				"from", h.stream.RemoteAddr().String(), "trusted", h.trusted, "header", err == nil)
		}
		a.refuse(h, refusedProxy, "")
		return false
	}
	h.direct = true
	return true
}
