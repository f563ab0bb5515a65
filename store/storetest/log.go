package storetest

var logCases = []testCase{
	{"it_is_safe", logSafe},
}

// logSafe asks whether a log as migrations and appends make it is safe. What makes it unsafe is the driver's to test.
func logSafe(f *fixture) {
	f.must(f.store.CheckLog(f.ctx))
	f.appendTo(stream("a"), 5)
	f.must(f.store.CheckLog(f.ctx))
	f.running(totals("sums")).fill()
	f.must(f.Open(f).CheckLog(f.ctx))
}
