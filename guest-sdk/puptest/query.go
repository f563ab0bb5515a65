package puptest

import (
	"encoding/binary"
	"fmt"

	"github.com/pupwasm/pupwasm/guest-sdk/internal/catalogue"
)

// answer runs a request of the guest and returns the result.
func (p *Projection) answer(request []byte) []byte {
	p.t.Helper()
	result, err := p.runQuery(request)
	if err != nil {
		p.t.Fatalf("query: %v", err)
	}
	return result
}

func (p *Projection) runQuery(request []byte) ([]byte, error) {
	if len(request) < 8 {
		return nil, fmt.Errorf("the request has no header")
	}
	index, count := int(binary.LittleEndian.Uint32(request)), int(binary.LittleEndian.Uint16(request[4:]))
	if index >= len(p.description.Queries) {
		return nil, fmt.Errorf("query %d of %d", index, len(p.description.Queries))
	}
	q := &p.description.Queries[index]
	arguments, columns := p.description.Signature(q)
	params, results := kinds(arguments), kinds(columns)
	if count != len(params) {
		return nil, fmt.Errorf("%q has %d arguments, declared are %d", q.Name, count, len(params))
	}
	args := make([]any, count)
	rest := request[8:]
	for i, kind := range params {
		var err error
		if args[i], rest, err = decodeValue(rest, kind); err != nil {
			return nil, fmt.Errorf("%q: %w", q.Name, err)
		}
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%q: %d bytes follow the arguments", q.Name, len(rest))
	}
	if err := p.description.checkQuery(q, args, p.running.events); err != nil {
		return nil, err
	}
	found, err := p.find(q, args)
	if err != nil {
		return nil, err
	}
	result := binary.LittleEndian.AppendUint32(nil, uint32(len(found)))
	result = binary.LittleEndian.AppendUint32(result, uint32(len(results)))
	for _, row := range found {
		if len(row) != len(results) {
			return nil, fmt.Errorf("%q: a row has %d values, declared are %d", q.Name, len(row), len(results))
		}
		for i, value := range row {
			result = appendValue(result, value, results[i])
		}
	}
	return result, nil
}

func (p *Projection) find(q *catalogue.Query, args []any) ([][]any, error) {
	if q.SQL != nil {
		answer, ok := p.answers[q.Name]
		if !ok {
			return nil, fmt.Errorf("%q is SQL, which puptest does not run: give its answer by Projection.Answer", q.Name)
		}
		return answer(args), nil
	}
	stored := p.tables.rows[q.Table]
	var found [][]any
	for i := range args[0].([]any) {
		key := make([]any, len(args))
		for column := range args {
			elements := args[column].([]any)
			if len(elements) != len(args[0].([]any)) {
				return nil, fmt.Errorf("%q: its arrays have different lengths", q.Name)
			}
			key[column] = elements[i]
		}
		row, ok := stored.byKey[rowKey(key)]
		if !ok {
			continue
		}
		values := []any{int64(i)}
		for _, name := range q.Columns {
			at := columnIndex(stored.decl, name)
			if stored.decl.Columns[at].Generated != nil {
				return nil, fmt.Errorf("%q loads column %q, which the database generates and puptest does not: try that against a database", q.Name, name)
			}
			values = append(values, row[at])
		}
		found = append(found, values)
	}
	return found, nil
}
