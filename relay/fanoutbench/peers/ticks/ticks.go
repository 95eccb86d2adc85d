package ticks

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
)

// Listen opens a port of the loopback interface and prints it. With arguments
// CERT and KEY, two PEM files, it speaks TLS.
func Listen(args []string) (net.Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	fmt.Printf("listen %s\n", l.Addr())
	if len(args) < 2 {
		return l, nil
	}
	pair, err := tls.LoadX509KeyPair(args[0], args[1])
	if err != nil {
		return nil, err
	}
	return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}}), nil
}

// Serve calls send with each message of standard input until it ends. The slice is
// the callee's to keep.
func Serve(send func(message []byte)) error {
	in := bufio.NewReaderSize(os.Stdin, 64<<10)
	var word [4]byte
	for {
		if _, err := io.ReadFull(in, word[:]); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		for n := binary.LittleEndian.Uint32(word[:]); n > 0; n-- {
			if _, err := io.ReadFull(in, word[:]); err != nil {
				return err
			}
			message := make([]byte, binary.LittleEndian.Uint32(word[:]))
			if _, err := io.ReadFull(in, message); err != nil {
				return err
			}
			send(message)
		}
	}
}
