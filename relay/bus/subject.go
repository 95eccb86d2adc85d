package bus

import (
	"strings"

	"tickrelay/ring/md"
)

// internal is the first token of subjects that are not topics.
const internal = "_tickrelay"

// toAll addresses a key-frame to every gateway.
const toAll = "all"

// subjects makes subject names. Topics are subjects as they are: their tokens
// hold no dot, blank or wildcard, and patterns have the meaning of NATS.
type subjects struct{ prefix string } // "" or with its dot

func newSubjects(prefix string) subjects {
	if prefix != "" {
		prefix += "."
	}
	return subjects{prefix}
}

func (s subjects) topic(t md.Topic) string { return s.prefix + t.String() }
func (s subjects) instruments(v md.Venue) string {
	return s.prefix + internal + ".instruments." + v.String()
}
func (s subjects) heartbeats(v md.Venue) string {
	return s.prefix + internal + ".heartbeats." + v.String()
}
func (s subjects) resync(v md.Venue) string {
	return s.prefix + internal + ".resync." + v.String()
}

// keyFrame addresses a topic's state; topic may be a pattern.
func (s subjects) keyFrame(to, topic string) string {
	return s.prefix + internal + ".keyframes." + to + "." + topic
}

// class is what a subject carries.
type class uint8

const (
	classNone class = iota
	classTopic
	classKeyFrame
	classInstruments
	classHeartbeats
)

// parse says what a subject carries and of which topic, or venue alone.
func (s subjects) parse(subject string) (class, md.Topic) {
	rest, ok := strings.CutPrefix(subject, s.prefix)
	if !ok {
		return classNone, md.Topic{}
	}
	rest, own := strings.CutPrefix(rest, internal+".")
	if !own {
		if t, err := md.ParseTopic(rest); err == nil {
			return classTopic, t
		}
		return classNone, md.Topic{}
	}
	kind, rest, _ := strings.Cut(rest, ".")
	switch kind {
	case "keyframes":
		_, topic, _ := strings.Cut(rest, ".")
		if t, err := md.ParseTopic(topic); err == nil {
			return classKeyFrame, t
		}
	case "instruments", "heartbeats":
		if v, ok := md.ParseVenue(rest); ok {
			if kind == "instruments" {
				return classInstruments, md.Topic{Venue: v}
			}
			return classHeartbeats, md.Topic{Venue: v}
		}
	}
	return classNone, md.Topic{}
}
