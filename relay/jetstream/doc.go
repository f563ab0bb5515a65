// Package jetstream has what goes to NATS JetStream: a [Sink] for messages of projections, and a [Copy] of a log.
//
//	outbox ──► Sink ──► whatever streams take the subjects of the messages
//	log ─────► Copy ──► one stream, with every event once and in order
//
//	options.go     where to and by which credentials
//	connection.go  the connection, which comes back by itself
//	errors.go      what errors of NATS mean
//	request.go     questions to the leader of a stream
//	streams.go     which stream takes a subject
//	identity.go    which messages a stream has already
//	copy.go        reads the log; copy_stream.go has the stream's end, copy_flight.go what is on its way
//	event.go       an event as a message, and back
//
// # Once
//
// JetStream acknowledges a message when most of the stream's replicas have it. A publisher that gets no answer does not
// know whether it was stored.
//
// The sink sends a message again under the same id, and a stream drops ids that it has had within its duplicate window,
// by default 2 minutes. For a message that was put into the outbox longer ago than half of that, or whose event is that
// old, it first looks at the last message on the subject of the stream: when that is the same one, or a later one of the
// same key, it was stored. Otherwise it is stored only if nothing was stored on the subject since, where only its key was
// seen there. What is the same has the id, the source, and the time of the event; what has the id and is another one
// is refused.
//
// What remains, each beyond the window, is stored twice:
//
//   - a message that was stored and not acknowledged, if meanwhile a message of another key was stored on its subject, or if
//     the stream has dropped it (limits, work queues, interest, transformed subjects);
//   - a message that was sent without a look, or to a subject of several keys, and stayed on its way until another host had
//     sent it and the stream had forgotten it;
//   - a message that the database lost and got again, if it is not the last one on its subject.
//
// A server that starts again has forgotten the ids of messages that it dropped, within the window too. A key in the
// subject of a stream that keeps its messages rules the first out, and a window longer than any outage all of them. The
// clocks of the outbox's database, of the host and of NATS must agree within half of the window.
//
// A copy does not rely on ids. Each of its messages is stored only behind the one with the event before it
// (Nats-Expected-Last-Sequence), whoever sends it.
package jetstream
