package postgres

import (
	"github.com/jackc/pgx/v5/pgproto3"
)

// messages are the statements of a transaction as they go over the wire, put together in memory that is used again. The driver's own
// are sent and answered by one goroutine, and throw a buffer of this size away each time.
type messages struct {
	names  *names
	buffer []byte
	sent   []*statement
	parsed []*statement // those that the server is asked to prepare, nil for each that it reads for this time only
	err    error        // the first: a message that is too large
}

// message is what the frontend sends.
type message interface {
	Encode(dst []byte) ([]byte, error)
}

// begin starts over.
func (m *messages) begin(names *names) {
	*m = messages{names: names, buffer: m.buffer[:0]}
}

func (m *messages) add(one message) {
	if m.err == nil {
		m.buffer, m.err = one.Encode(m.buffer)
	}
}

// send adds a statement. Nobody reads its result.
func (m *messages) send(s *statement, parameters [][]byte) {
	oids, formats := s.wire()
	name := s.kept
	switch m.names.use(s) {
	case unnamed:
		name = ""
		m.add(&pgproto3.Parse{Query: s.sql, ParameterOIDs: oids})
		m.parsed = append(m.parsed, nil)
	case toPrepare:
		m.add(&pgproto3.Parse{Name: name, Query: s.sql, ParameterOIDs: oids})
		m.parsed = append(m.parsed, s)
	}
	m.execute(s, name, parameters, formats)
}

// again adds the statement that was sent last once more, with other parameters. The server does not read it again.
func (m *messages) again(s *statement, parameters [][]byte) {
	if s.kept != "" {
		m.send(s, parameters)
		return
	}
	_, formats := s.wire()
	m.execute(s, "", parameters, formats)
}

func (m *messages) execute(s *statement, name string, parameters [][]byte, formats []int16) {
	m.add(&pgproto3.Bind{PreparedStatement: name, ParameterFormatCodes: formats, Parameters: parameters})
	m.add(&pgproto3.Execute{})
	m.sent = append(m.sent, s)
}

// end adds the end of the transaction, and returns the whole of it, which is valid until it begins again.
func (m *messages) end() ([]byte, error) {
	m.add(&pgproto3.Sync{})
	return m.buffer, m.err
}
