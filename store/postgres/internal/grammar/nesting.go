package grammar

import (
	"errors"
	"fmt"
	"strings"

	"github.com/wasilibs/go-pgquery/parser"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pupwasm/pupwasm/internal/oneline"
)

// The parser's stack is small, and nothing guards its end: what lies behind it would be overwritten, and another
// statement be read wrongly. So how deep a statement can become is estimated from its words before it is parsed,
// and never too low. The stack has 64 KiB, of which an operator takes 0.9 KiB, a subselect or a window function
// within another 1.3 to 2.7 KiB, a call or a UNION less than an operator.
const (
	nestingMax    = 60 // operators
	bracketWeight = 4  // of what is within brackets, or within CASE and END
	setWeight     = 2  // of a UNION, which has all before it as its left side
	joinWeight    = 2  // as has a JOIN
)

// What the parser takes very long for, or very much memory.
const (
	signsMax   = 500   // in a row, which the scanner reads again and again
	remarksMax = 200   // that begin with /*
	copiesMax  = 5_000 // words: SET (a, b) = (SELECT …) has its right side once for each column
)

// level is what is within one pair of brackets. Its lists, clauses and operands of AND and OR lie side by
// side, in pieces.
type level struct {
	opened  string
	chain   int // operators of the piece at hand, each of which may have all before it as its left side
	inner   int // the deepest brackets in the piece at hand
	deepest int // the deepest of the pieces before
	sets    int
	joins   int
	between int  // BETWEEN that has not met its AND
	setting bool // in the list of SET
	columns int  // of SET (…)
}

// separate ends a piece.
func (l *level) separate() {
	l.deepest = max(l.deepest, l.chain+l.inner)
	l.chain, l.inner = 0, 0
}

// depth is that of all that the level has: a query behind UNION, or a table behind JOIN, makes deeper what stands
// before it.
func (l *level) depth() int {
	return max(l.deepest, l.chain+l.inner) + setWeight*l.sets + joinWeight*l.joins
}

// checkNesting refuses a statement that may become too deep or too large, or that does not begin as one which a
// module may have.
func checkNesting(sql string) error {
	if signs := longestOf(sql, "+*/<>=~!@#%^&|`?"); signs > signsMax || strings.Count(sql, "/*") > remarksMax {
		return errors.New("has too many signs in a row, or too many remarks")
	}
	words, err := wordsOf(sql)
	if err != nil {
		return err
	}
	if len(words) > 0 && !beginnings[words[0].text] {
		return fmt.Errorf("%.20s is not possible here: a statement selects, inserts, updates, deletes or merges",
			strings.ToUpper(words[0].text))
	}
	n := nesting{levels: []level{{}}, copies: 1}
	for _, word := range words {
		n.step(word)
		if n.top().depth() > nestingMax || len(n.levels) > nestingMax {
			return fmt.Errorf("is nested too deep, or has too long a chain of operators, about %.40q: split it, "+
				"in brackets or by WITH", word.text)
		}
		n.before = word
	}
	for len(n.levels) > 1 {
		n.close()
	}
	switch {
	case n.top().depth() > nestingMax:
		return errors.New("is nested too deep: split it, by WITH")
	case n.copies > copiesMax || n.copies > 1 && n.copies*len(words) > copiesMax:
		return errors.New("has SET (…) = with too many columns for its length: write each column by itself")
	}
	return nil
}

// longestOf is the length of the longest run of some characters.
func longestOf(text, of string) (longest int) {
	run := 0
	for i := range len(text) {
		if strings.IndexByte(of, text[i]) < 0 {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}

// nesting is how deep the words up to one may be.
type nesting struct {
	levels []level
	before word
	copies int // of the right sides of SET (…), if each were within the one before
}

func (n *nesting) top() *level { return &n.levels[len(n.levels)-1] }

func (n *nesting) open(text string) { n.levels = append(n.levels, level{opened: text}) }

// close ends the last level, which makes the one around it as deep.
func (n *nesting) close() {
	closed := n.top()
	n.copies = min(n.copies*max(closed.columns, 1), copiesMax+1)
	depth := closed.depth()
	n.levels = n.levels[:len(n.levels)-1]
	n.top().inner = max(n.top().inner, bracketWeight+depth)
}

// closeTo ends the level that a bracket closes, with those within it that nothing has closed.
func (n *nesting) closeTo(opened string) {
	for i := len(n.levels) - 1; i > 0; i-- {
		if n.levels[i].opened == opened {
			for len(n.levels) > i {
				n.close()
			}
			return
		}
	}
}

// step takes a word or a sign. Names and constants add no depth, nor do keywords that are names after a dot or AS.
func (n *nesting) step(w word) {
	top := n.top()
	switch w.text {
	case "(", "[":
		list := top.setting && (n.before.is("set") || n.before.text == ",")
		n.open(w.text)
		if list {
			n.top().columns = 1
		}
		return
	case ")":
		n.closeTo("(")
		return
	case "]":
		n.closeTo("[")
		return
	case ",", ";":
		if top.columns > 0 {
			top.columns++
		}
		top.separate()
		return
	case ".":
		return
	}
	if !w.plain && !(w.keyword && (n.before.text == "." || n.before.is("as"))) {
		n.stepWord(w)
	}
}

// stepWord takes a word that may add depth.
func (n *nesting) stepWord(w word) {
	top := n.top()
	switch w.text {
	case "case":
		n.open(w.text)
	case "end":
		if top.opened == "case" {
			n.close()
		}
	case "and":
		if top.between > 0 { // BETWEEN … AND has all behind it as its right side
			top.between--
			top.chain++
			return
		}
		top.separate()
	case "from":
		top.setting = false
		if n.before.is("distinct") { // IS DISTINCT FROM
			top.chain++
			return
		}
		top.separate()
	case "group":
		if n.before.is("within") {
			top.chain++
			return
		}
		top.separate()
	case "or", "select", "where", "having", "order", "on", "returning", "limit", "offset", "using", "window", "when",
		"then", "else":
		top.setting = false
		top.separate()
	case "set": // which may be a name as well
		top.setting = true
		top.chain++
	case "union", "intersect", "except":
		top.sets++
	case "join":
		top.joins++
	case "between":
		top.between++
		top.chain++
	default:
		top.chain++
	}
}

// beginnings are the words that a statement may begin with.
var beginnings = set(`select insert update delete merge with values table (`)

// word is a word or a sign as the server's scanner finds it.
type word struct {
	text    string // in lower case, where it is a word of SQL
	plain   bool   // a name, a constant or a parameter
	keyword bool
}

func (w word) is(keyword string) bool { return w.keyword && w.text == keyword }

// Tokens of the scanner that are plain, from IDENT on, without Op.
const (
	tokenIdent = 258
	tokenOp    = 265
	tokenParam = 267
)

// wordsOf returns the words and signs of a text as the server's scanner finds them, without remarks.
func wordsOf(sql string) (words []word, err error) {
	defer recovered(&err)
	scanned, err := parser.ScanToProtobuf(sql)
	if err != nil {
		return nil, oneline.Error(err)
	}
	err = eachField(scanned, func(number protowire.Number, _ uint64, token []byte) error {
		const tokens, start, end, kind, keyword = 2, 1, 2, 4, 5
		if number != tokens {
			return nil
		}
		fields := map[protowire.Number]uint64{}
		err := eachField(token, func(number protowire.Number, value uint64, _ []byte) error {
			fields[number] = value
			return nil
		})
		from, to := fields[start], fields[end]
		if err != nil || from > to || to > uint64(len(sql)) {
			return errScan
		}
		text := sql[from:to]
		if strings.HasPrefix(text, "--") || strings.HasPrefix(text, "/*") {
			return nil
		}
		w := word{text: text, keyword: fields[keyword] != 0}
		w.plain = !w.keyword && fields[kind] >= tokenIdent && fields[kind] <= tokenParam && fields[kind] != tokenOp
		if w.keyword {
			w.text = strings.ToLower(text)
		}
		words = append(words, w)
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
