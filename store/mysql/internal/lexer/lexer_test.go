package lexer_test

import (
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/store/mysql/internal/lexer"
)

var kinds = map[lexer.Kind]string{
	lexer.Word: "word", lexer.Name: "name", lexer.Text: "text", lexer.Number: "number", lexer.Bytes: "bytes",
	lexer.Parameter: "parameter", lexer.Symbol: "symbol",
}

// show writes tokens as kinds and values.
func show(tokens []lexer.Token) string {
	all := make([]string, len(tokens))
	for i, t := range tokens {
		all[i] = kinds[t.Kind] + " " + t.Text
		if t.Kind == lexer.Parameter {
			all[i] = t.Shown()
		}
	}
	return strings.Join(all, "|")
}

func TestRead(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		"":                         "",
		" \t\r\n\v\f ":             "",
		"SELECT a_1":               "word SELECT|word a_1",
		"'it''s'":                  "text it's",
		`'a\'`:                     `text a\`,
		`'\\' "b"`:                 `text \\|name b`,
		"'a\nb' 'ä☃😀'":             "text a\nb|text ä☃😀",
		"``":                       "-a name has 1 to 64",
		"`a``b` \"c\"\"d`\"":       "name a`b|name c\"d`",
		"a.b.`c`":                  "word a|symbol .|word b|symbol .|name c",
		"1 1.5 .5 1. 1e3 1.5E-3":   "number 1|number 1.5|number .5|number 1.|number 1e3|number 1.5E-3",
		"x'0aFF' X'' 0x41 b'01'":   "bytes x'0aff'|bytes x''|bytes 0x41|bytes b'01'",
		"0b101":                    "bytes 0b101",
		"$1 + $12":                 "$1|symbol +|$12",
		"a<=>b<>c!=d||e&&f<<g->>h": "word a|symbol <=>|word b|symbol <>|word c|symbol !=|word d|symbol |||word e|symbol &&|word f|symbol <<|word g|symbol ->>|word h",
		"a -- b\nc # d\ne/* f */g": "word a|word c|word e|word g",
		"a --\nb":                  "word a|word b",
		"a -- b\r c":               "word a",
		"a --":                     "word a",
		"/*/ a */ b /**/ c":        "word b|word c",
		"/* /* */ a":               "word a",
		"/* ! */ a":                "word a",
		"a - -1":                   "word a|symbol -|symbol -|number 1",
		"1-1":                      "number 1|symbol -|number 1",
		"a.1":                      "word a|symbol .|number 1",
		"- - -":                    "symbol -|symbol -|symbol -",
		"date'2020-01-01'":         "word date|text 2020-01-01",
		";;":                       "symbol ;|symbol ;",

		"'a": "-does not end", "\"a": "-does not end", "`a": "-does not end", "/* a": "-does not end", "x'00": "-does not end",
		"/*! a */": "-MariaDB runs", "/*!50000 a */": "-MariaDB runs", "/*M! a */": "-MariaDB runs", "/*m!1 a */": "-MariaDB runs",
		"/*+ a */": "-MariaDB runs", "a--b": "--- without a blank", "--a": "--- without a blank", "a --\u00a0b": "--- without a blank",
		"@a": "-variables", "@@a": "-variables", "?": "-parameters are", ":a": "-parameters are", "a::b": "-parameters are",
		"$0": "-parameters are", "$01": "-parameters are", "$": "-parameters are", "$a": "-parameters are", "$1a": "-parameters are",
		"$99999": "-parameters are", "$$a$$": "-parameters are", "$1$": "-parameters are", "$99999999999999999999": "-parameters are",
		"a$b": "-in quotes", "aä": "-in quotes", "ä": "-in a text", "`a$b`": "-no $", "`$1`": "-no $", "`a `": "-no blank",
		"`a\tb`": "-no control", "`😀`": "-beyond U+FFFF", "`" + strings.Repeat("a", 65) + "`": "-1 to 64",
		"1a": "-no number", "1_": "-no number", "1'a'": "-no number", "0x": "-pairs", "0xg": "-no number", "0X41": "-no number", "0b2": "-bits",
		"0x4": "-pairs", "x'4'": "-pairs", "x'4g'": "-pairs", "b'2'": "-bits", "b''": "-bits", "1.2.3": "-no number", "1e": "-no number",
		"1..2": "-no number", "{fn a}": "-possible in a text", "[a]": "-possible in a text", `\`: "-possible in a text",
		"a\u00a0b": "-in quotes", "a \u00a0b": "-possible in a text", "a\u3000b": "-in quotes", "＇a＇": "-possible in a text",
		"‘a’": "-possible in a text", "a；b": "-in quotes", "\x01": "-possible in a text", "\x7f": "-possible in a text",
		"a\x00": "-NUL", "'\x00'": "-NUL", "\xff": "-UTF-8", "'\xe4'": "-UTF-8", "`\xc0\xa7`": "-UTF-8", "\ufeffa": "-possible in a text",
		strings.Repeat("a", 16<<10+1): "-at most 16384",
	} {
		tokens, err := lexer.Read(sql)
		words, refused := strings.CutPrefix(want, "-")
		switch {
		case refused && err == nil:
			t.Errorf("%.50q is read as %s", sql, show(tokens))
		case refused && !strings.Contains(err.Error(), words):
			t.Errorf("%.50q: %v, want %q", sql, err, words)
		case !refused && (err != nil || show(tokens) != want):
			t.Errorf("%q is %s, %v; want %s", sql, show(tokens), err, want)
		}
	}
}

// FuzzRead reads what was read again.
func FuzzRead(f *testing.F) {
	for _, sql := range []string{
		"SELECT a, `b``c`, \"d\"\"e\" FROM x WHERE 'it''s' <=> x'00' OR $1 -- why\n", "/* a */ 0b1 # b\n .5e-3", `'\' || '`,
	} {
		f.Add(sql)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		tokens, err := lexer.Read(sql)
		if err != nil {
			if err.Error() == "" || strings.ContainsAny(err.Error(), "\x00") {
				t.Errorf("%q: %q", sql, err)
			}
			return
		}
		var again strings.Builder
		for _, token := range tokens {
			switch token.Kind {
			case lexer.Text:
				again.WriteString("'" + strings.ReplaceAll(token.Text, "'", "''") + "'")
			case lexer.Name:
				again.WriteString("`" + strings.ReplaceAll(token.Text, "`", "``") + "`")
			case lexer.Parameter:
				again.WriteString(token.Shown())
			default:
				again.WriteString(token.Text)
			}
			again.WriteString("\n")
		}
		if again.Len() > 16<<10 {
			return
		}
		if read, err := lexer.Read(again.String()); err != nil || show(read) != show(tokens) {
			t.Errorf("%q is read as %s, and then as %s, %v", sql, show(tokens), show(read), err)
		}
	})
}
