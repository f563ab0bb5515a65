package main

import "encoding/binary"

// balanceFold adds up the bookings of an account.
type balanceFold struct {
	index        keyIndex
	sums, counts []int64
	arrays       [2]wireArray
	result       [][]byte
}

func newBalanceFold(capacity int) fold {
	return &balanceFold{index: newKeyIndex(capacity), arrays: [2]wireArray{newWireArray(oidInt8), newWireArray(oidInt8)}}
}

func (f *balanceFold) add(values [][]byte) error {
	amount, ok := scanInt(scanField(values[columnPayload], "amount"))
	if !ok {
		return errNoField
	}
	if string(values[columnKind]) == withdrawn {
		amount = -amount
	}
	n, isNew := f.index.number(values[columnStream])
	if isNew {
		f.sums, f.counts = append(f.sums, amount), append(f.counts, 1)
		return nil
	}
	f.sums[n] += amount
	f.counts[n]++
	return nil
}

func (f *balanceFold) arguments() [][]byte {
	for i, of := range [...][]int64{f.sums, f.counts} {
		for _, v := range of {
			f.arrays[i].addInt8(v)
		}
	}
	f.result = append(f.result[:0], f.index.keys.bytes(), f.arrays[0].bytes(), f.arrays[1].bytes())
	return f.result
}

func (f *balanceFold) reset() {
	f.index.reset()
	f.sums, f.counts = f.sums[:0], f.counts[:0]
	f.arrays[0].reset()
	f.arrays[1].reset()
}

// rowsFold collects a row an event.
type rowsFold struct {
	position, account, kind, amount wireArray
	result                          [][]byte
}

func newRowsFold(int) fold {
	return &rowsFold{position: newWireArray(oidInt8), account: newWireArray(oidText), kind: newWireArray(oidText), amount: newWireArray(oidInt8)}
}

func (f *rowsFold) add(values [][]byte) error {
	amount, ok := scanInt(scanField(values[columnPayload], "amount"))
	if !ok {
		return errNoField
	}
	f.position.add(values[columnPosition])
	f.account.add(values[columnStream])
	f.kind.add(values[columnKind])
	f.amount.addInt8(amount)
	return nil
}

func (f *rowsFold) arguments() [][]byte {
	f.result = append(f.result[:0], f.position.bytes(), f.account.bytes(), f.kind.bytes(), f.amount.bytes())
	return f.result
}

func (f *rowsFold) reset() {
	f.position.reset()
	f.account.reset()
	f.kind.reset()
	f.amount.reset()
}

// fineFold is what a batch does to each fine.
type fineFold struct {
	index  keyIndex
	fines  []foldedFine
	kinds  map[string][]byte // the names of events, which are few
	arrays [6]wireArray
	result [][]byte
}

type foldedFine struct {
	fineChange
	events int64
	last   []byte
	at     int64 // as the server counts it
}

func newFineFold(capacity int) fold {
	f := &fineFold{index: newKeyIndex(capacity), kinds: map[string][]byte{}}
	for i, oid := range [...]uint32{oidInt8, oidInt8, oidInt8, oidInt8, oidText, oidTimestamptz} {
		f.arrays[i] = newWireArray(oid)
	}
	return f
}

func (f *fineFold) add(values [][]byte) error {
	n, isNew := f.index.number(values[columnStream])
	if isNew {
		f.fines = append(f.fines, foldedFine{})
	}
	fine := &f.fines[n]
	kind, known := f.kinds[string(values[columnKind])]
	if !known {
		kind = append(kind, values[columnKind]...)
		f.kinds[string(kind)] = kind
	}
	fine.events++
	fine.last, fine.at = kind, int64(binary.BigEndian.Uint64(values[columnCreated]))
	switch string(kind) {
	case "CreateFine", "AddPenalty":
		if text := scanField(values[columnPayload], "amount"); text != nil {
			amount, ok := scanCents(text)
			if !ok {
				return errNoField
			}
			fine.charged, fine.amount = true, amount
		}
	case "SendFine":
		return addCents(&fine.expense, scanField(values[columnPayload], "expense"))
	case "Payment":
		return addCents(&fine.paid, scanField(values[columnPayload], "paymentAmount"))
	}
	return nil
}

func addCents(to *int64, text []byte) error {
	if text == nil {
		return nil
	}
	cents, ok := scanCents(text)
	if !ok {
		return errNoField
	}
	*to += cents
	return nil
}

func (f *fineFold) arguments() [][]byte {
	a := &f.arrays
	for i := range f.fines {
		fine := &f.fines[i]
		if fine.charged {
			a[0].addInt8(fine.amount)
		} else {
			a[0].addNull()
		}
		a[1].addInt8(fine.expense)
		a[2].addInt8(fine.paid)
		a[3].addInt8(fine.events)
		a[4].add(fine.last)
		a[5].addInt8(fine.at)
	}
	f.result = append(f.result[:0], f.index.keys.bytes())
	for i := range a {
		f.result = append(f.result, a[i].bytes())
	}
	return f.result
}

func (f *fineFold) reset() {
	f.index.reset()
	f.fines = f.fines[:0]
	for i := range f.arrays {
		f.arrays[i].reset()
	}
}
