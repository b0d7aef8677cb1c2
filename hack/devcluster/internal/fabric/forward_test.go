package fabric

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// echoAfterEnd answers with all that it got once the other side is done, which
// only works when the end of one direction is passed on by itself.
func echoAfterEnd(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				content, _ := io.ReadAll(connection)
				_, _ = connection.Write(content)
			}()
		}
	}()
	return listener.Addr().String()
}

func forwarder(t *testing.T, target string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() { _ = accept(listener, target) }()
	return listener.Addr().String()
}

func TestForwardCarriesBothDirectionsAndTheirEnds(t *testing.T) {
	address := forwarder(t, echoAfterEnd(t))
	connection, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(10 * time.Second))
	sent := bytes.Repeat([]byte("devcluster"), 100_000)
	go func() {
		_, _ = connection.Write(sent)
		_ = connection.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(connection)
	if err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("sent %d bytes, got %d back: %v", len(sent), len(got), err)
	}
}

func TestForwardHangsUpWhenNobodyAnswers(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	connection, err := net.Dial("tcp", forwarder(t, closed.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := connection.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("got %v, want the end of the connection", err)
	}
}
