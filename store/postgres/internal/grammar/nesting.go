package grammar

import (
	"errors"
	"fmt"
	"strings"

	"github.com/wasilibs/go-pgquery/parser"
	"google.golang.org/protobuf/encoding/protowire"
)

// The parser's stack is small, and nothing guards its end: what lies behind it would be overwritten, and another statement be read wrongly.
// So how deep a statement can become is estimated from its words before it is parsed, and never too low. Measured, the parser's stack ends at 50
// window functions within each other, 80 casts or subselects, 120 calls, 160 UNIONs.
const (
	nestingMax    = 80
	bracketWeight = 4 // of what is within brackets, or within CASE and END
	setWeight     = 2 // of a UNION, which has all before it as its left side
)

// level is what stands within one pair of brackets.
type level struct {
	opened string
	sets   int // of queries: each is one deeper than the one before
	joins  int // as are those of a list
	chain  int // words since the last one that separates: each may be an operator that has all before it as its left side
}

// checkNesting refuses a statement that may become too deep, or that does not begin as one which a module may have.
func checkNesting(sql string) error {
	words, err := wordsOf(sql)
	if err != nil {
		return err
	}
	if len(words) > 0 && !beginnings[words[0]] {
		return fmt.Errorf("%.20s is not possible here: a statement selects, inserts, updates, deletes or merges", strings.ToUpper(words[0]))
	}
	levels := []level{{}}
	before := ""
	for _, word := range words {
		levels = step(levels, before, word)
		before = word
		weight := 0
		for i := range levels {
			weight += setWeight*levels[i].sets + setWeight*levels[i].joins + levels[i].chain
		}
		if weight+bracketWeight*(len(levels)-1) > nestingMax {
			return fmt.Errorf("is nested too deep, or has too long a chain of operators, about %.40q: split it, in brackets or by WITH", word)
		}
	}
	return nil
}

// step takes a word. Behind a dot or AS, each is a name.
func step(levels []level, before, word string) []level {
	top := &levels[len(levels)-1]
	if before == "." || before == "as" {
		top.chain++
		return levels
	}
	switch word {
	case "(", "[", "case":
		return append(levels, level{opened: word})
	case ")", "]":
		return closed(levels, map[string]string{")": "(", "]": "["}[word])
	case "end":
		if top.opened == "case" {
			return levels[:len(levels)-1]
		}
	case ",", ";":
		top.chain, top.joins = 0, 0
	case "and", "or", "select", "from", "where", "having", "group", "order", "on", "returning", "limit", "offset", "using", "window", "when", "then", "else":
		top.chain = 0
	case "union", "intersect", "except":
		top.sets++
	case "join", "between", "distinct":
		top.joins++
	default:
		top.chain++
	}
	return levels
}

// closed takes off the level that a bracket closes, with those within it that nothing has closed.
func closed(levels []level, opened string) []level {
	for i := len(levels) - 1; i > 0; i-- {
		if levels[i].opened == opened {
			return levels[:i]
		}
	}
	return levels
}

// beginnings are the words that a statement may begin with.
var beginnings = set(`select insert update delete merge with values table (`)

// wordsOf returns the words and signs of a text as the server's scanner finds them, without remarks, and in lower case.
func wordsOf(sql string) (words []string, err error) {
	defer recovered(&err)
	scanned, err := parser.ScanToProtobuf(sql)
	if err != nil {
		return nil, said(err)
	}
	err = eachField(scanned, func(number protowire.Number, _ uint64, token []byte) error {
		const tokens, start, end = 2, 1, 2
		if number != tokens {
			return nil
		}
		var from, to uint64
		err := eachField(token, func(number protowire.Number, value uint64, _ []byte) error {
			switch number {
			case start:
				from = value
			case end:
				to = value
			}
			return nil
		})
		if err != nil || from > to || to > uint64(len(sql)) {
			return errScan
		}
		if word := sql[from:to]; !strings.HasPrefix(word, "--") && !strings.HasPrefix(word, "/*") {
			words = append(words, strings.ToLower(word))
		}
		return nil
	})
	return words, err
}

var errScan = errors.New("cannot be taken apart into words")

// eachField goes through a message of the scanner's.
func eachField(message []byte, take func(number protowire.Number, value uint64, bytes []byte) error) error {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return errScan
		}
		message = message[n:]
		var value uint64
		var bytes []byte
		switch kind {
		case protowire.VarintType:
			value, n = protowire.ConsumeVarint(message)
		case protowire.BytesType:
			bytes, n = protowire.ConsumeBytes(message)
		default:
			n = protowire.ConsumeFieldValue(number, kind, message)
		}
		if n < 0 {
			return errScan
		}
		if err := take(number, value, bytes); err != nil {
			return err
		}
		message = message[n:]
	}
	return nil
}
