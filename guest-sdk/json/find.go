package json

// Find starts over and goes to the value at a path of field names and array indexes, joined by dots:
// "customer.address.city", "items.0.price". It tells whether there is one, and the methods of the reader read
// it then. A null is there, too. The rest of the text is not read. For several fields, loop over the object:
// that takes one pass.
//
// A name that contains a dot cannot be found this way.
func (r *Reader) Find(path string) bool {
	r.Reset(r.data)
	for len(path) > 0 {
		name := path
		path = ""
		for i := range len(name) {
			if name[i] == '.' {
				name, path = name[:i], name[i+1:]
				break
			}
		}
		if !r.enter(name) {
			return false
		}
	}
	return r.state != failed
}

// enter moves to a field of the next object or an element of the next array.
func (r *Reader) enter(name string) bool {
	switch r.Kind() {
	case ObjectStart:
		for o := r.Object(); o.Next(); {
			if o.Key() == name {
				return true
			}
		}
	case ArrayStart:
		index, ok := parseIndex(name)
		if !ok {
			return false
		}
		for a := r.Array(); a.Next(); index-- {
			if index == 0 {
				return true
			}
		}
	case Invalid:
		r.mismatch("a value")
	}
	return false
}

func parseIndex(name string) (index int, ok bool) {
	if name == "" || len(name) > 9 {
		return 0, false
	}
	for i := range len(name) {
		if name[i] < '0' || name[i] > '9' {
			return 0, false
		}
		index = index*10 + int(name[i]-'0')
	}
	return index, true
}
