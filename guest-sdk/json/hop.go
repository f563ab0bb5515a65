package json

// hop moves to the value of the next field in the case that is nearly all cases: in an object, past a plain
// string or a short number that was not read, with at most one space between tokens. In any other case, also at
// the end and at any fault, it changes nothing and reports false. It is the general way again, in one function,
// because in a guest calls are what costs most.
func (r *Reader) hop() bool {
	data, i := r.data, r.pos
	switch {
	case r.objects>>(r.depth-1)&1 == 0 || r.state == failed:
		return false
	case r.state == pending:
		if i = plainValueEnd(data, i); i < 0 {
			return false
		}
	}
	if r.state != opened {
		if at(data, i) != ',' {
			return false
		}
		i++
	}
	if at(data, i) == ' ' {
		i++
	}
	if at(data, i) != '"' {
		return false
	}
	end := plainEnd(data, i+1)
	if at(data, end) != '"' || at(data, end+1) != ':' {
		return false
	}
	value := end + 2
	if at(data, value) == ' ' {
		value++
	}
	if at(data, value) <= ' ' {
		return false
	}
	r.keys[r.depth-1] = view(data[i+1 : end])
	r.escapes &^= 1 << (r.depth - 1)
	r.pos = value
	r.state = pending
	return true
}

// plainValueEnd returns the index behind a plain string or a number without exponent, or -1 for any
// other value.
func plainValueEnd(data []byte, i int) int {
	c := at(data, i)
	if c == '"' {
		if i = plainEnd(data, i+1); at(data, i) != '"' {
			return -1
		}
		return i + 1
	}
	if c == '-' {
		i++
	}
	start := i
	if i = digits(data, i); i == start || data[start] == '0' && i > start+1 {
		return -1
	}
	if at(data, i) == '.' {
		start = i + 1
		if i = digits(data, start); i == start {
			return -1
		}
	}
	if at(data, i)|0x20 == 'e' {
		return -1
	}
	return i
}
