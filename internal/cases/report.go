package cases

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"
)

// Suite is the results of the cases of one folder.
type Suite struct {
	Name    string // of the projection
	Began   time.Time
	Results []*Result
	// Error says why there are no results, or no more: the module does not build, or a file is wrong. It may have several
	// lines.
	Error string
}

// Failed is how many cases do not pass.
func (s *Suite) Failed() (n int) {
	for _, r := range s.Results {
		if !r.Passed() {
			n++
		}
	}
	return n
}

// took is how long the cases took.
func (s *Suite) took() (all time.Duration) {
	for _, r := range s.Results {
		all += r.Took
	}
	return all
}

// text is the failures in lines.
func (r *Result) text() string {
	lines := make([]string, len(r.Failures))
	for i, f := range r.Failures {
		lines[i] = f.Where + ": " + f.Text
	}
	return strings.Join(lines, "\n")
}

// ID is the name of the case with that of its file, as programs name tests.
func (r *Result) ID() string {
	file := filepath.Base(r.Case.Place.File)
	return strings.TrimSuffix(file, filepath.Ext(file)) + "/" + strings.ReplaceAll(r.Case.Name, " ", "_")
}

type xmlSuites struct {
	XMLName xml.Name   `xml:"testsuites"`
	Suites  []xmlSuite `xml:"testsuite"`
}

type xmlSuite struct {
	Name     string    `xml:"name,attr"`
	Tests    int       `xml:"tests,attr"`
	Failures int       `xml:"failures,attr"`
	Errors   int       `xml:"errors,attr"`
	Time     string    `xml:"time,attr"`
	At       string    `xml:"timestamp,attr"`
	Cases    []xmlCase `xml:"testcase"`
}

type xmlCase struct {
	Class   string      `xml:"classname,attr"`
	Name    string      `xml:"name,attr"`
	File    string      `xml:"file,attr,omitempty"`
	Time    string      `xml:"time,attr"`
	Failure *xmlFailure `xml:"failure,omitempty"`
	Error   *xmlFailure `xml:"error,omitempty"`
}

type xmlFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

// WriteJUnit writes results in the form of JUnit's XML, which build servers read.
func WriteJUnit(w io.Writer, suites []*Suite) error {
	var all xmlSuites
	for _, s := range suites {
		of := xmlSuite{
			Name: s.Name, Tests: len(s.Results), Failures: s.Failed(), Time: seconds(s.took()),
			At: s.Began.UTC().Format("2006-01-02T15:04:05"),
		}
		for _, r := range s.Results {
			c := xmlCase{Class: s.Name, Name: r.Case.Name, File: r.Case.Place.File, Time: seconds(r.Took)}
			if !r.Passed() {
				c.Failure = &xmlFailure{Message: r.Failures[0].Text, Text: r.text()}
			}
			of.Cases = append(of.Cases, c)
		}
		if s.Error != "" {
			of.Tests, of.Errors = of.Tests+1, 1
			first, _, _ := strings.Cut(s.Error, "\n")
			of.Cases = append(of.Cases, xmlCase{
				Class: s.Name, Name: "module", Time: seconds(0), Error: &xmlFailure{Message: first, Text: s.Error},
			})
		}
		all.Suites = append(all.Suites, of)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// testEvent is an event of 'go test -json' (see 'go doc test2json').
type testEvent struct {
	Time    time.Time
	Action  string
	Package string
	Test    string   `json:",omitempty"`
	Elapsed *float64 `json:",omitempty"`
	Output  string   `json:",omitempty"`
}

// WriteGoTest writes results as 'go test -json' does, a JSON object a line. A projection is a package.
func WriteGoTest(w io.Writer, s *Suite) error {
	encoder := json.NewEncoder(w)
	var err error
	at := s.Began
	write := func(action, test, output string, took time.Duration) {
		if err != nil {
			return
		}
		event := testEvent{Time: at, Action: action, Package: s.Name, Test: test, Output: output}
		if action == "pass" || action == "fail" {
			elapsed := took.Seconds()
			event.Elapsed = &elapsed
		}
		err = encoder.Encode(event)
	}
	write("start", "", "", 0)
	for _, r := range s.Results {
		write("run", r.ID(), "", 0)
		at = at.Add(r.Took)
		outcome := "pass"
		if !r.Passed() {
			outcome = "fail"
			for line := range strings.Lines(r.text() + "\n") {
				write("output", r.ID(), "    "+line, 0)
			}
		}
		write("output", r.ID(), fmt.Sprintf("--- %s: %s (%.2fs)\n", strings.ToUpper(outcome), r.ID(), r.Took.Seconds()), 0)
		write(outcome, r.ID(), "", r.Took)
	}
	outcome := "pass"
	if s.Error != "" || s.Failed() > 0 {
		outcome = "fail"
		for line := range strings.Lines(s.Error) {
			write("output", "", line, 0)
		}
	}
	write(outcome, "", "", s.took())
	return err
}
