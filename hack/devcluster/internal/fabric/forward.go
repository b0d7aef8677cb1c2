package fabric

import (
	"fmt"
	"io"
	"net"
	"os"
	"sync"
)

// firstInherited is the number of the first file that a parent hands over.
const firstInherited = 3

// Forward carries connections from listeners that the caller inherited, and
// that belong to the machine's network, to targets inside the cluster's. It is
// how a kubeconfig on the machine reaches an API server that the machine's own
// network does not know.
func Forward(targets []string) error {
	failed := make(chan error, len(targets))
	for i, target := range targets {
		file := os.NewFile(uintptr(firstInherited+i), target)
		listener, err := net.FileListener(file)
		if err != nil {
			return fmt.Errorf("taking over the listener for %s: %w", target, err)
		}
		file.Close()
		go func() { failed <- accept(listener, target) }()
	}
	return <-failed
}

func accept(listener net.Listener, target string) error {
	for {
		client, err := listener.Accept()
		if err != nil {
			return err
		}
		go carry(client, target)
	}
}

func carry(client net.Conn, target string) {
	defer client.Close()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	var both sync.WaitGroup
	both.Go(func() { copyThenClose(server, client) })
	both.Go(func() { copyThenClose(client, server) })
	both.Wait()
}

// copyThenClose passes on the end of one direction and leaves the other open.
func copyThenClose(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if half, ok := to.(*net.TCPConn); ok && err == nil {
		_ = half.CloseWrite()
		return
	}
	_ = to.Close()
	_ = from.Close()
}
