package abi

import (
	"encoding/binary"
	"math"
)

// AppendReply appends the header of a reply with mutations, whose body has to follow.
func AppendReply(dst []byte, mutations, bodySize int) []byte {
	return appendReplyHeader(dst, StatusMutations, uint32(mutations), 0, bodySize)
}

// AppendErrorReply appends a whole reply that reports an error at an event of the batch, or NoEvent.
func AppendErrorReply(dst []byte, event, code uint32, message string) []byte {
	dst = appendReplyHeader(dst, StatusError, event, code, len(message))
	return append(dst, message...)
}

func appendReplyHeader(dst []byte, status Status, count, code uint32, bodySize int) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, MagicReply)
	dst = binary.LittleEndian.AppendUint16(dst, Version)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(status))
	dst = binary.LittleEndian.AppendUint32(dst, count)
	dst = binary.LittleEndian.AppendUint32(dst, code)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(bodySize))
	return binary.LittleEndian.AppendUint32(dst, 0)
}

// AppendMutation appends the head of a mutation, whose values have to follow.
func AppendMutation(dst []byte, write, values uint16, event uint32) []byte {
	dst = binary.LittleEndian.AppendUint16(dst, write)
	dst = binary.LittleEndian.AppendUint16(dst, values)
	return binary.LittleEndian.AppendUint32(dst, event)
}

// Reply is the decoded head of a reply, and reads its mutations one after the other:
//
//	for range reply.Count {
//		m, err := reply.Mutation()
//		// m.Values times: reply.Next()
//	}
//	err := reply.End()
type Reply struct {
	Values
	Status  Status
	Count   int    // mutations
	Event   uint32 // of an error: its index in the batch, or NoEvent
	Code    uint32 // of an error
	Message string // of an error
}

// Mutation is the head of a mutation.
type Mutation struct {
	Write  int // index into the catalogue
	Event  int // index into the batch
	Values int // that follow
}

// DecodeReply reads the head of a reply from untrusted bytes. The reply keeps src.
//
// # Errors
//
// ErrFormat.
func DecodeReply(src []byte) (*Reply, error) {
	if len(src) < ReplyHeaderSize {
		return nil, formatError("the reply has %d bytes, its header has %d", len(src), ReplyHeaderSize)
	}
	if magic := binary.LittleEndian.Uint32(src); magic != MagicReply {
		return nil, formatError("the reply starts with %#x", magic)
	}
	if version := binary.LittleEndian.Uint16(src[4:]); version != Version {
		return nil, formatError("the reply has version %d", version)
	}
	body := src[ReplyHeaderSize:]
	if size := binary.LittleEndian.Uint32(src[16:]); uint64(size) != uint64(len(body)) {
		return nil, formatError("the reply says that %d bytes follow, there are %d", size, len(body))
	}
	count := binary.LittleEndian.Uint32(src[8:])
	reply := &Reply{Status: Status(binary.LittleEndian.Uint16(src[6:]))}
	switch reply.Status {
	case StatusMutations:
		if uint64(count)*MutationHeaderSize > uint64(len(body)) {
			return nil, formatError("%d mutations do not fit into %d bytes", count, len(body))
		}
		reply.Count = int(count)
		reply.rest = body
	case StatusError:
		if err := checkText(body); err != nil {
			return nil, err
		}
		reply.Event = count
		reply.Code = binary.LittleEndian.Uint32(src[12:])
		reply.Message = string(body)
	default:
		return nil, formatError("the reply has status %d", reply.Status)
	}
	return reply, nil
}

// Mutation reads the head of the next mutation.
func (r *Reply) Mutation() (Mutation, error) {
	head, err := r.take(MutationHeaderSize)
	if err != nil {
		return Mutation{}, err
	}
	event := binary.LittleEndian.Uint32(head[4:])
	if event > math.MaxInt32 { // it would turn negative where int has 32 bits
		return Mutation{}, formatError("a mutation names event %d", event)
	}
	return Mutation{
		Write:  int(binary.LittleEndian.Uint16(head[0:])),
		Values: int(binary.LittleEndian.Uint16(head[2:])),
		Event:  int(event),
	}, nil
}

// End checks that nothing follows the last mutation.
func (r *Reply) End() error {
	if len(r.rest) > 0 {
		return formatError("%d bytes follow the last mutation", len(r.rest))
	}
	return nil
}
