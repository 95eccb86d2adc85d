package feeds

// WithSpec is v with facts of its own: edit gets a copy of v's. It is for those
// who run a venue's dialect at another pace than the venue itself, such as against
// a simulated exchange: its deadlines and rates are then theirs to choose. What v
// implements beside Venue stays, except Credentialed.
func WithSpec(v Venue, edit func(*Spec)) Venue {
	r := respec{v, *v.Spec()}
	edit(&r.spec)
	if b, ok := v.(Bootstrapper); ok {
		return &struct {
			*respec
			Bootstrapper
		}{&r, b}
	}
	return &r
}

type respec struct {
	Venue
	spec Spec
}

func (r *respec) Spec() *Spec { return &r.spec }

// Open implements Opener as the venue does.
func (r *respec) Open(dst [][]byte, rq *Requests) [][]byte {
	if o, ok := r.Venue.(Opener); ok {
		return o.Open(dst, rq)
	}
	return dst
}

// NewConn implements Stateful as the venue does; one without state is its own
// connection.
func (r *respec) NewConn() Conn {
	if s, ok := r.Venue.(Stateful); ok {
		return s.NewConn()
	}
	return r.Venue
}
