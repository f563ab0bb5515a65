package store

// heldInto marks a segment that is held at a position, where others have the segment that they become.
const heldInto = -1

// Held reports that segments are held at the position, and not merged there.
func (m Merge) Held() bool { return m.Into == heldInto && m.At > 0 }

// Hold lets no segment pass a position, so that all come to stand there: the given one, or the highest checkpoint if that
// is further. It returns which. Segments that are held already are held there instead. At 0 all stand already.
//
// # Errors
//
// [*InputError] when a segment is being merged, or has failed and would never arrive.
func (l *Layout) Hold(at int64) (int64, error) {
	for i := range l.Segments {
		switch s := &l.Segments[i]; {
		case s.Merge.At > 0 && !s.Merge.Held():
			return 0, refuse(s.Segment, "is being merged: compare versions when that is done")
		case s.Failure != "":
			return 0, refuse(s.Segment, "has failed: Store.Status says why")
		default:
			at = max(at, s.Position)
		}
	}
	for i := range l.Segments {
		if at == 0 {
			break
		}
		l.Segments[i].Merge = Merge{Into: heldInto, At: at}
	}
	return at, nil
}

// Release lets all segments that are held go on. It reports whether there was any.
func (l *Layout) Release() (released bool) {
	for i := range l.Segments {
		if s := &l.Segments[i]; s.Merge.Held() {
			s.Merge, released = Merge{}, true
		}
	}
	return released
}

// busy refuses to divide a segment that is being merged or held.
func (p *LayoutSegment) busy(what string) error {
	switch {
	case p.Merge.Held():
		return refuse(p.Segment, "is held while versions are compared: %s it in a moment", what)
	case p.Merge.At > 0:
		return refuse(p.Segment, "is already being merged: %s it when that is done", what)
	}
	return nil
}
