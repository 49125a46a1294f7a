package api

import (
	"fmt"
	"unicode/utf8"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Connect's own codecs pass over fields that they do not know, and so would a
// misspelt "not_befor". These refuse them, in both encodings.

// maxMessage bounds a request's body. A payload of signer.MaxPayload is a third
// longer in base64, and twice as long as hexadecimal text.
const maxMessage = 512 << 10

// jsonCodec is strict protobuf JSON. Duplicate fields are refused by protojson
// itself, also when one is spelt payload_text and the other payloadText.
type jsonCodec struct{ name string }

func (c jsonCodec) Name() string { return c.name }

func (c jsonCodec) Marshal(m any) ([]byte, error) {
	msg, ok := m.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no protobuf message", m)
	}
	return protojson.MarshalOptions{UseProtoNames: true}.Marshal(msg)
}

func (c jsonCodec) Unmarshal(data []byte, m any) error {
	msg, ok := m.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no protobuf message", m)
	}
	if len(data) == 0 {
		return fmt.Errorf("the body is empty; send at least {}")
	}
	if !utf8.Valid(data) {
		return fmt.Errorf("the body is not valid UTF-8")
	}
	return protojson.UnmarshalOptions{RecursionLimit: 16}.Unmarshal(data, msg)
}

// protoCodec is the binary encoding without unknown fields.
type protoCodec struct{}

func (protoCodec) Name() string { return "proto" }

func (protoCodec) Marshal(m any) ([]byte, error) {
	msg, ok := m.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no protobuf message", m)
	}
	return proto.Marshal(msg)
}

func (protoCodec) Unmarshal(data []byte, m any) error {
	msg, ok := m.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no protobuf message", m)
	}
	if err := (proto.UnmarshalOptions{RecursionLimit: 16}).Unmarshal(data, msg); err != nil {
		return err
	}
	return refuseUnknown(msg.ProtoReflect())
}

// refuseUnknown looks for unknown fields in a message and in those within it. The
// requests of this API nest by single messages only.
func refuseUnknown(m protoreflect.Message) (err error) {
	if len(m.GetUnknown()) > 0 {
		return fmt.Errorf("%s has a field that this server does not know", m.Descriptor().Name())
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if f.Message() != nil && !f.IsList() && !f.IsMap() {
			err = refuseUnknown(v.Message())
		}
		return err == nil
	})
	return err
}

func handlerOptions() []connect.HandlerOption {
	return []connect.HandlerOption{
		connect.WithCodec(jsonCodec{"json"}), connect.WithCodec(jsonCodec{"json; charset=utf-8"}), connect.WithCodec(protoCodec{}),
		connect.WithReadMaxBytes(maxMessage),
		// Compression costs more than it saves on a Unix socket, and lets a small
		// body become a large one.
		connect.WithCompression("gzip", nil, nil),
	}
}
