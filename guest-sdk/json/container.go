package json

// Object iterates over the fields of an object. See [Reader.Object].
//
// Object and Array are values whose methods do not take their address: a variable of a for clause whose address
// is taken moves to the heap in TinyGo, once per round.
type Object struct {
	r     *Reader
	depth int
}

// Array iterates over the elements of an array. See [Reader.Array].
type Array struct {
	r     *Reader
	depth int
}

// outside is the depth of a container that could not be entered.
const outside = DepthMax + 1

// Object enters an object: each call of Next moves the reader to the value of the next field.
func (r *Reader) Object() Object {
	if r.Kind() != ObjectStart {
		r.mismatch("an object")
		return Object{r: r, depth: outside}
	}
	if !r.open() {
		return Object{r: r, depth: outside}
	}
	return Object{r: r, depth: r.depth}
}

// Array enters an array: each call of Next moves the reader to the next element.
func (r *Reader) Array() Array {
	if r.Kind() != ArrayStart {
		r.mismatch("an array")
		return Array{r: r, depth: outside}
	}
	if !r.open() {
		return Array{r: r, depth: outside}
	}
	return Array{r: r, depth: r.depth}
}

// Next moves to the next field and tells whether there is one.
func (o Object) Next() bool { return o.r.next(o.depth) }

// Key returns the name of the field that the last Next moved to.
func (o Object) Key() string {
	if o.depth == outside {
		return ""
	}
	if o.r.escapes>>(o.depth-1)&1 != 0 {
		return o.r.decodeKey(o.depth)
	}
	return o.r.keys[o.depth-1]
}

// decodeKey decodes a key that has escapes.
func (r *Reader) decodeKey(depth int) string {
	r.escapes &^= 1 << (depth - 1)
	r.keys[depth-1] = r.unescape(r.keys[depth-1])
	return r.keys[depth-1]
}

// Next moves to the next element and tells whether there is one.
func (a Array) Next() bool { return a.r.next(a.depth) }

// open enters the container at the next bracket, unless that is too deep.
func (r *Reader) open() bool {
	if r.depth == DepthMax {
		r.fail("is nested too deep")
		return false
	}
	bit := uint64(1) << r.depth
	if r.data[r.pos] == '{' {
		r.objects |= bit
	} else {
		r.objects &^= bit
	}
	r.pos++
	r.depth++
	r.state = opened
	return true
}

// inObject tells whether the innermost container is an object.
func (r *Reader) inObject() bool { return r.objects>>(r.depth-1)&1 != 0 }

// next moves to the next value in the container at a depth, whatever was left unread before, or behind the container.
func (r *Reader) next(depth int) bool {
	if r.depth == depth && r.hop() {
		return true
	}
	if r.depth < depth {
		return false // it was left before
	}
	if r.state == pending || r.depth > depth {
		r.skipValue(depth)
	}
	if r.state == failed {
		return false
	}
	r.step()
	if r.state == pending {
		return true
	}
	r.finish()
	return false
}

// step moves from the end of a value or an opening bracket to the next value of the container or past its
// closing bracket.
func (r *Reader) step() {
	data, i := r.data, space(r.data, r.pos)
	object := r.inObject()
	switch c := at(data, i); {
	case c == '}' && object, c == ']' && !object:
		r.pos = i + 1
		r.depth--
		r.state = done
		return
	case r.state == opened:
	case c == ',':
		i = space(data, i+1)
	default:
		r.pos = i
		r.unexpected("a comma or the end of the container")
		return
	}
	if !object {
		r.pos = i
		r.state = pending
		return
	}
	if at(data, i) != '"' {
		r.pos = i
		r.unexpected("a key")
		return
	}
	if end := plainEnd(data, i+1); at(data, end) == '"' {
		r.keys[r.depth-1] = view(data[i+1 : end])
		r.escapes &^= 1 << (r.depth - 1)
		i = end + 1
	} else {
		r.pos = i
		if !r.skipString() {
			return
		}
		r.keys[r.depth-1] = view(data[i+1 : r.pos-1])
		r.escapes |= 1 << (r.depth - 1)
		i = r.pos
	}
	if at(data, i) != ':' {
		if i = space(data, i); at(data, i) != ':' {
			r.pos = i
			r.unexpected("a colon")
			return
		}
	}
	r.pos = space(data, i+1)
	r.state = pending
}

// skipValue reads until a value at the given depth is complete. The reader may be within it, at any depth.
func (r *Reader) skipValue(depth int) {
	for r.state != failed {
		if r.state == pending {
			switch c := r.peek(); {
			case c == '{' || c == '[':
				r.open()
			default:
				r.skipScalar(c)
			}
		}
		if r.state == done && r.depth == depth {
			return
		}
		if r.state != failed {
			r.step()
		}
	}
}

func (r *Reader) skipScalar(c byte) {
	switch {
	case c == '"':
		r.skipString()
	case c == '-' || c >= '0' && c <= '9':
		r.scanNumber()
	case c == 't':
		r.literal("true")
	case c == 'f':
		r.literal("false")
	case c == 'n':
		r.literal("null")
	default:
		r.unexpected("a value")
	}
	if r.state != failed {
		r.state = done
	}
}

func (r *Reader) literal(word string) {
	end := r.pos + len(word)
	if end > len(r.data) || view(r.data[r.pos:end]) != word {
		r.unexpected(word)
		return
	}
	r.pos = end
}
