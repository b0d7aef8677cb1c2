// Package fabric is the network of a cluster with nodes: one network namespace
// that holds a bridge and the control plane, and one per node behind it. None
// of it is visible from the network namespace of the machine.
package fabric

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// The plan of addresses, the same in every cluster, as a fresh OpenShift has
// it where OpenShift has an opinion.
const (
	Gateway     = "192.168.10.1" // the control plane, and the way out of each node
	PodNetwork  = "10.128.0.0/14"
	PodMaskSize = 23

	bridgeName = "br0"
	uplinkName = "eth0"
)

// Node is the place of one node in the network.
type Node struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	PodCIDR string `json:"podCIDR"`
	// Router is the address of the agent's own end inside the pod range. It and
	// MAC are fixed, so that what is compiled for a node is compiled only once.
	Router string `json:"router"`
	MAC    string `json:"mac"`
}

// NodeAt gives the place of the node with that number, counted from 1.
func NodeAt(number int) Node {
	return Node{
		Name:    fmt.Sprintf("node-%d", number),
		Address: fmt.Sprintf("192.168.10.%d", 10+number),
		PodCIDR: fmt.Sprintf("10.128.%d.0/%d", (number-1)*2, PodMaskSize),
		Router:  fmt.Sprintf("10.128.%d.1", (number-1)*2),
		MAC:     fmt.Sprintf("02:00:c0:a8:0a:%02x", 10+number),
	}
}

// Hold makes the bridge in the namespace of the calling process and keeps the
// namespace until somebody ends the process. Routes to the pods of each node
// let the API server call webhooks and aggregated servers by their pod address.
func Hold(nodes int) error {
	if err := buildBridge(nodes); err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
	return nil
}

func buildBridge(nodes int) error {
	if err := loopbackUp(); err != nil {
		return err
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
		return fmt.Errorf("turning on forwarding: %w", err)
	}
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridgeName}}
	if err := netlink.LinkAdd(bridge); err != nil {
		return fmt.Errorf("making a bridge: %w", err)
	}
	if err := addAddress(bridge, Gateway); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(bridge); err != nil {
		return err
	}
	for number := 1; number <= nodes; number++ {
		node := NodeAt(number)
		_, pods, err := net.ParseCIDR(node.PodCIDR)
		if err != nil {
			return err
		}
		route := &netlink.Route{Dst: pods, Gw: net.ParseIP(node.Address), LinkIndex: bridge.Attrs().Index}
		if err := netlink.RouteAdd(route); err != nil {
			return fmt.Errorf("routing %s to %s: %w", node.PodCIDR, node.Name, err)
		}
	}
	return nil
}

// Ready tells whether the holder with that process id has built the bridge.
func Ready(pid int) bool {
	space, err := netns.GetFromPid(pid)
	if err != nil {
		return false
	}
	defer space.Close()
	handle, err := netlink.NewHandleAt(space)
	if err != nil {
		return false
	}
	defer handle.Close()
	// The routes come last.
	routes, err := handle.RouteList(nil, netlink.FAMILY_V4)
	return err == nil && len(routes) > 1
}

// Join connects the namespace of the calling process, a new node, to the
// bridge in the given namespace. An older end of the same name is replaced: its
// node is dead, but the kernel may not have noticed yet.
func Join(node Node, space netns.NsHandle) error {
	if err := loopbackUp(); err != nil {
		return err
	}
	outside, err := netlink.NewHandleAt(space)
	if err != nil {
		return fmt.Errorf("entering the cluster's network: %w", err)
	}
	defer outside.Close()
	if old, err := outside.LinkByName(node.Name); err == nil {
		if err := outside.LinkDel(old); err != nil {
			return fmt.Errorf("removing the link of an earlier %s: %w", node.Name, err)
		}
	}
	mac, err := net.ParseMAC(node.MAC)
	if err != nil {
		return err
	}
	link := &netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: uplinkName, HardwareAddr: mac},
		PeerName:      node.Name,
		PeerNamespace: netlink.NsFd(int(space)),
	}
	if err := netlink.LinkAdd(link); err != nil {
		return fmt.Errorf("making the link of %s: %w", node.Name, err)
	}
	if err := plugIn(outside, node.Name); err != nil {
		return fmt.Errorf("plugging %s into the bridge: %w", node.Name, err)
	}
	if err := addAddress(link, node.Address); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	if err := netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: net.ParseIP(Gateway)}); err != nil {
		return err
	}
	return addAgentLinks(node, mac)
}

// addAgentLinks makes the pair of links that the network agent would otherwise
// make with random addresses. It takes the router's from what it finds.
func addAgentLinks(node Node, uplink net.HardwareAddr) error {
	host, peer := slices.Clone(uplink), slices.Clone(uplink)
	host[1], peer[1] = 1, 2
	pair := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: "cilium_host", HardwareAddr: host, TxQLen: 1000},
		PeerName:  "cilium_net", PeerHardwareAddr: peer,
	}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("making the links of the network agent: %w", err)
	}
	router, err := netlink.ParseAddr(node.Router + "/32")
	if err != nil {
		return err
	}
	router.Scope = int(netlink.SCOPE_LINK)
	return netlink.AddrAdd(pair, router)
}

func plugIn(outside *netlink.Handle, name string) error {
	peer, err := outside.LinkByName(name)
	if err != nil {
		return err
	}
	bridge, err := outside.LinkByName(bridgeName)
	if err != nil {
		return err
	}
	if err := outside.LinkSetMaster(peer, bridge); err != nil {
		return err
	}
	return outside.LinkSetUp(peer)
}

// Inside runs the action, which may start processes, in the network namespace
// of the process with that id.
func Inside(pid int, action func() error) error {
	runtime.LockOSThread()
	own, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer own.Close()
	space, err := netns.GetFromPid(pid)
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("finding the cluster's network: %w", err)
	}
	defer space.Close()
	if err := netns.Set(space); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("entering the cluster's network: %w", err)
	}
	result := action()
	if err := netns.Set(own); err != nil {
		// The thread stays locked and so ends with its goroutine.
		return fmt.Errorf("leaving the cluster's network: %w", err)
	}
	runtime.UnlockOSThread()
	return result
}

func loopbackUp() error {
	link, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}

func addAddress(link netlink.Link, address string) error {
	parsed, err := netlink.ParseAddr(address + "/24")
	if err != nil {
		return err
	}
	return netlink.AddrAdd(link, parsed)
}
