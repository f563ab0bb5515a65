// Package v1 has the first version of the shop's events.
package v1

//go:generate go run github.com/pupwasm/pupwasm/cmd/pupwasm gen events ..

// Cents is money. In JSON it is a number with 2 decimals: 1250 is 12.50.
//
//pup:decimals 2
type Cents int64

// OrderPlaced has one article.
type OrderPlaced struct {
	Customer string `json:"customer"`
	Article  string `json:"article"`
	Price    Cents  `json:"price"`
}

// OrderCancelled has not changed since.
type OrderCancelled struct {
	Reason string `json:"reason"`
}
