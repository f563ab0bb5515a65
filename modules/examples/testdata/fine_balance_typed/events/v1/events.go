// Package v1 has the events of the real log of traffic fines, with the members that its projection reads.
package v1

//go:generate pupwasm gen events ..

// Cents is money in euros.
//
//pup:decimals 2
type Cents int64

// CreateFine is a new fine.
type CreateFine struct {
	Amount *Cents `json:"amount"`
}

// AddPenalty replaces the amount.
type AddPenalty struct {
	Amount *Cents `json:"amount"`
}

// SendFine has the expenses of sending.
type SendFine struct {
	Expense Cents `json:"expense"`
}

// Payment pays a fine, or a part of it.
type Payment struct {
	PaymentAmount Cents `json:"paymentAmount"`
}
