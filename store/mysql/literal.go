package mysql

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

// expand writes arguments into a statement of ours, as literals in the place of $1, $2, …. A $ that no digit follows, as in
// a path of JSON, stays. A nil []byte is NULL.
func expand(text string, args []any) (string, error) {
	if len(args) == 0 {
		return text, nil
	}
	out := make([]byte, 0, len(text)+32*len(args))
	for {
		before, rest, found := strings.Cut(text, "$")
		out = append(out, before...)
		if !found {
			return string(out), nil
		}
		digits := 0
		for digits < len(rest) && '0' <= rest[digits] && rest[digits] <= '9' {
			digits++
		}
		if text = rest[digits:]; digits == 0 {
			out = append(out, '$')
			continue
		}
		n, err := strconv.Atoi(rest[:digits])
		if err != nil || n < 1 || n > len(args) {
			return "", fmt.Errorf("a statement refers to $%.4s and has %d arguments", rest, len(args))
		}
		if out, err = appendLiteral(out, args[n-1]); err != nil {
			return "", err
		}
	}
}

func appendLiteral(out []byte, arg any) ([]byte, error) {
	switch arg := arg.(type) {
	case nil:
		return append(out, "NULL"...), nil
	case bool:
		return strconv.AppendBool(out, arg), nil
	case int:
		return strconv.AppendInt(out, int64(arg), 10), nil
	case int32:
		return strconv.AppendInt(out, int64(arg), 10), nil
	case uint32:
		return strconv.AppendUint(out, uint64(arg), 10), nil
	case int64:
		return strconv.AppendInt(out, arg, 10), nil
	case string:
		return appendText(out, []byte(arg)), nil
	case []byte:
		if arg == nil {
			return append(out, "NULL"...), nil
		}
		return appendBytes(out, arg), nil
	case store.UUID:
		return appendBytes(out, arg[:]), nil
	case []string:
		return appendList(out, arg)
	case []int:
		return appendList(out, arg)
	case [][]byte:
		return appendList(out, arg)
	case tuples:
		return appendTuples(out, arg)
	default:
		return nil, fmt.Errorf("cannot write a %T into a statement", arg)
	}
}

// appendList writes a list for IN. An empty one has nothing in it.
func appendList[T any](out []byte, list []T) ([]byte, error) {
	if len(list) == 0 {
		return append(out, "(NULL)"...), nil
	}
	for i, element := range list {
		out = append(out, "(,"[min(i, 1)])
		var err error
		if out, err = appendLiteral(out, element); err != nil {
			return nil, err
		}
	}
	return append(out, ')'), nil
}

// tuples are rows for VALUES, one or more.
type tuples [][]any

func appendTuples(out []byte, rows tuples) ([]byte, error) {
	for i, row := range rows {
		if i > 0 {
			out = append(out, ',')
		}
		for j, value := range row {
			out = append(out, "(,"[min(j, 1)])
			var err error
			if out, err = appendLiteral(out, value); err != nil {
				return nil, err
			}
		}
		out = append(out, ')')
	}
	return out, nil
}

// appendBytes writes a literal of bytes. Without _binary, where rows are a table (VALUES, UNION), MariaDB gives them a
// column of 65,535 bytes, and cuts what is longer in silence.
func appendBytes(out, value []byte) []byte { return appendHex(append(out, "_binary "...), value) }

func appendHex(out, value []byte) []byte {
	out = append(out, "x'"...)
	out = hex.AppendEncode(out, value)
	return append(out, '\'')
}

// appendText writes a literal of text, which means the same in every sql_mode: printable ASCII without ' and \ as it is,
// and anything else by its bytes.
func appendText(out, value []byte) []byte {
	for _, b := range value {
		if b < ' ' || b > '~' || b == '\'' || b == '\\' {
			return appendHex(append(out, "_utf8mb4 "...), value)
		}
	}
	out = append(out, '\'')
	out = append(out, value...)
	return append(out, '\'')
}

// parseInt reads an integer that the server has written; DECIMAL, which SUM gives, comes as text.
func parseInt(text []byte) int64 {
	n, _ := strconv.ParseInt(string(text), 10, 64)
	return n
}
