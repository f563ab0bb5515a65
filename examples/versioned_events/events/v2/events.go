// Package v2 has the second version of the shop's events: an order has several lines.
package v2

import v1 "github.com/pupwasm/pupwasm/examples/versioned_events/events/v1"

// OrderPlaced has several lines, and says where it came from.
type OrderPlaced struct {
	Customer string `json:"customer"`
	Lines    []Line `json:"lines"`
	Channel  string `json:"channel,omitempty"`
}

// Line is an article of an order.
type Line struct {
	Article string   `json:"article"`
	Price   v1.Cents `json:"price"`
	Pieces  int64    `json:"pieces"`
}

// UpOrderPlaced makes an order with one line of an old one.
func UpOrderPlaced(old v1.OrderPlaced) OrderPlaced {
	return OrderPlaced{
		Customer: old.Customer,
		Lines:    []Line{{Article: old.Article, Price: old.Price, Pieces: 1}},
		Channel:  "web",
	}
}
