package host

// Reply returns the bytes that the last Apply decoded, which are valid until the next call.
func (g *Guest) Reply() []byte { return g.reply }
