package abi_test

import (
	"fmt"

	"github.com/pupwasm/pupwasm/host/abi"
)

// A host lays out the columns that a module asked for, and writes the block into the guest's memory.
func ExampleBatchEncoder() {
	types := []string{"OrderPlaced", "OrderPaid", "OrderPlaced"}
	var encoder abi.BatchEncoder
	encoder.Begin(abi.BatchHeader{Count: len(types)}, 2)
	encoder.Int64s(abi.GlobalPosition, func(i int) int64 { return int64(100 + i) })
	encoder.Repeated(abi.EventType, func(i int) string { return types[i] })
	block, err := encoder.Finish()
	fmt.Println(len(block), err)
	// Output: 136 <nil>
}

func ExampleDecodeBatch() {
	var encoder abi.BatchEncoder
	encoder.Begin(abi.BatchHeader{Count: 2}, 2)
	encoder.Int64s(abi.GlobalPosition, func(i int) int64 { return int64(100 + i) })
	encoder.Texts(abi.AggregateID, func(i int) string { return fmt.Sprintf("order-%d", i) })
	block, _ := encoder.Finish()

	batch, err := abi.DecodeBatch(block)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range batch.Count {
		fmt.Printf("%d %s\n", batch.Int64(abi.GlobalPosition, i), batch.Bytes(abi.AggregateID, i))
	}
	fmt.Println(batch.Has(abi.Payload))
	// Output:
	// 100 order-0
	// 101 order-1
	// false
}

func ExampleDecodeReply() {
	body := abi.AppendMutation(nil, 0, 2, 7)
	body = abi.AppendBytes(body, abi.KindText, "order-1")
	body = abi.AppendI64(body, -5)
	block := append(abi.AppendReply(nil, 1, len(body)), body...)

	reply, err := abi.DecodeReply(block)
	if err != nil {
		fmt.Println(err)
		return
	}
	for range reply.Count {
		mutation, err := reply.Mutation()
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("write %d for event %d\n", mutation.Write, mutation.Event)
		for range mutation.Values {
			item, err := reply.Next()
			if err != nil {
				fmt.Println(err)
				return
			}
			fmt.Printf("kind %d: %d %q\n", item.Kind, int64(item.Word), item.Bytes)
		}
	}
	fmt.Println(reply.End())
	// Output:
	// write 0 for event 7
	// kind 5: 0 "order-1"
	// kind 2: -5 ""
	// <nil>
}

func ExampleAppendErrorReply() {
	reply, err := abi.DecodeReply(abi.AppendErrorReply(nil, 3, 42, "the payload is not JSON"))
	fmt.Println(reply.Status == abi.StatusError, reply.Event, reply.Code, reply.Message, err)
	// Output: true 3 42 the payload is not JSON <nil>
}

func ExampleAppendArray() {
	array := abi.AppendArray(nil, abi.KindI64, 2)
	array = abi.AppendI64(array, 10)
	array = abi.AppendNull(array)

	values := abi.NewValues(array)
	head, _ := values.Next()
	fmt.Println(head.Array, head.Word)
	for range head.Word {
		element, _ := values.Next()
		fmt.Println(element.Kind == abi.KindNull, element.Word)
	}
	// Output:
	// true 2
	// false 10
	// true 0
}

func ExampleDecodeQuery() {
	request := abi.AppendQuery(nil, 1, 1)
	request = abi.AppendBytes(request, abi.KindText, "order-1")

	query, err := abi.DecodeQuery(request)
	if err != nil {
		fmt.Println(err)
		return
	}
	argument, err := query.Next()
	fmt.Println(query.Query, query.Arguments, string(argument.Bytes), err)
	// Output: 1 1 order-1 <nil>
}

func ExampleDecodeRows() {
	result := abi.AppendRows(nil, 1, 2)
	result = abi.AppendI64(result, 0)
	result = abi.AppendBytes(result, abi.KindNumeric, "12.50")

	rows, width, values, err := abi.DecodeRows(result)
	fmt.Println(rows, width, err)
	key, _ := values.Next()
	total, _ := values.Next()
	fmt.Println(key.Word, string(total.Bytes), len(values.Rest()))
	// Output:
	// 1 2 <nil>
	// 0 12.50 0
}
