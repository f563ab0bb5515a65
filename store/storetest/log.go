package storetest

import "github.com/pupwasm/pupwasm/store"

var logCases = []testCase{
	{"it_is_safe", logSafe},
	{"it_is_diagnosed", logDiagnosed},
}

// logSafe asks whether a log as migrations and appends make it is safe. What makes it unsafe is the driver's to test.
func logSafe(f *fixture) {
	f.must(f.store.CheckLog(f.ctx))
	f.appendTo(stream("a"), 5)
	f.must(f.store.CheckLog(f.ctx))
	f.running(totals("sums")).fill()
	f.must(f.Open(f).CheckLog(f.ctx))
}

// logDiagnosed has a database looked at that nothing is wrong with. What is wrong with one is the driver's to test.
func logDiagnosed(f *fixture) {
	diagnoser, is := f.store.(store.Diagnoser)
	if !is {
		f.Fatal("the driver diagnoses nothing")
	}
	all, err := diagnoser.Diagnose(f.ctx)
	f.must(err)
	seen := map[string]bool{}
	for _, d := range all {
		seen[d.Check] = true
		if d.Check == "" || d.Finding == "" || d.Severity == store.SeverityProblem || (d.Severity == store.SeverityOK) != (d.Remedy == "") {
			f.Errorf("a sound database has %+v", d)
		}
	}
	if !seen["server"] {
		f.Errorf("the server is not looked at: %+v", all)
	}
	holder, _, err := diagnoser.DescribeHolder(f.ctx, 1<<22+1) // no process has this number
	f.must(err)
	if holder != "" {
		f.Errorf("a process that has ended is %q", holder)
	}
}
