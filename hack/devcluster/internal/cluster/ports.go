package cluster

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"strconv"
)

// Ports come from below the kernel's range for outgoing connections (32768 and
// up by default), so that no client socket takes one between test and use.
const (
	lowestPort  = 20000
	highestPort = 32000
)

// freePorts picks loopback ports that nobody listens on. Two clusters that
// start at once may still draw the same one: the caller draws again.
func freePorts(count int) ([]int, error) {
	ports := make([]int, 0, count)
	seen := map[int]bool{}
	for range 1000 {
		if len(ports) == count {
			return ports, nil
		}
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		if !seen[port] && isFree(port) {
			seen[port] = true
			ports = append(ports, port)
		}
	}
	return nil, fmt.Errorf("no %d free loopback ports between %d and %d", count, lowestPort, highestPort)
}

func isFree(port int) bool {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return listener.Close() == nil
}

// portOf takes the port from a URL of our own making.
func portOf(address string) int {
	parsed, err := url.Parse(address)
	if err != nil {
		return 0
	}
	port, _ := strconv.Atoi(parsed.Port())
	return port
}
