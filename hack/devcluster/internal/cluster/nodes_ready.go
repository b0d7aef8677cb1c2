package cluster

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"bulkhead.dev/devcluster/internal/images"
)

func typedClient(layout Layout) (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", layout.Kubeconfig())
	if err != nil {
		return nil, err
	}
	config.Timeout = 10 * time.Second
	return kubernetes.NewForConfig(config)
}

// registerNodes writes the Node objects before kubelet would, so that each node
// has the same range of pod addresses in every cluster.
func registerNodes(client kubernetes.Interface, state *State) error {
	for _, n := range state.Nodes {
		object := &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: n.Name, Labels: map[string]string{
				corev1.LabelHostname:             n.Name,
				"node-role.kubernetes.io/worker": "",
			}},
			Spec: corev1.NodeSpec{PodCIDR: n.PodCIDR, PodCIDRs: []string{n.PodCIDR}},
		}
		_, err := client.CoreV1().Nodes().Create(context.Background(), object, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("registering %s: %w", n.Name, err)
		}
	}
	return nil
}

// readiness is what `up` waits for.
type readiness struct {
	client kubernetes.Interface
	state  *State
	// started lists the nodes that this very command has booted, since began.
	started []*Node
	began   time.Time
}

// waitForNodes waits until every node is ready and has a working DNS server.
func waitForNodes(layout Layout, state *State, wanted readiness, deadline time.Time) error {
	for {
		problem := wanted.problem()
		if problem == "" {
			return allAlive(layout, state.everything())
		}
		if err := allAlive(layout, state.everything()); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the nodes were not ready in time: %s; see the logs in %s", problem, layout.path("logs"))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// problem is empty when there is none.
func (r readiness) problem() string {
	ctx := context.Background()
	nodes, err := r.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err.Error()
	}
	ready := 0
	for _, n := range nodes.Items {
		if r.state.node(n.Name) == nil {
			continue
		}
		if reason := notReady(&n); reason != "" {
			return n.Name + ": " + reason
		}
		ready++
	}
	if ready < len(r.state.Nodes) {
		return fmt.Sprintf("%d of %d nodes are registered", ready, len(r.state.Nodes))
	}
	for _, n := range r.started {
		if reason := r.staleReports(ctx, n.Name); reason != "" {
			return reason
		}
	}
	dns, err := r.client.AppsV1().DaemonSets(dnsNamespace).Get(ctx, dnsName, metav1.GetOptions{})
	if err != nil {
		return err.Error()
	}
	if status := dns.Status; status.ObservedGeneration < dns.Generation || int(status.NumberAvailable) < len(r.state.Nodes) {
		return fmt.Sprintf("%d of %d DNS servers are available", status.NumberAvailable, len(r.state.Nodes))
	}
	return ""
}

// staleReports names a pod whose containers ran before the node was booted and
// are still reported as running: what is reported is then as old as that.
func (r readiness) staleReports(ctx context.Context, node string) string {
	pods, err := r.client.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + node})
	if err != nil {
		return err.Error()
	}
	for _, pod := range pods.Items {
		for _, container := range pod.Status.ContainerStatuses {
			// Reports know whole seconds only.
			running := container.State.Running
			if running != nil && running.StartedAt.Time.Before(r.began.Truncate(time.Second)) {
				return fmt.Sprintf("%s has not noticed yet that %s/%s is gone", node, pod.Namespace, pod.Name)
			}
		}
	}
	return ""
}

func notReady(n *corev1.Node) string {
	for _, taint := range n.Spec.Taints {
		if strings.HasPrefix(taint.Key, "node.kubernetes.io/") {
			return "is tainted " + taint.Key
		}
	}
	for _, condition := range n.Status.Conditions {
		if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
			return ""
		}
		if condition.Type == corev1.NodeReady {
			return condition.Message
		}
	}
	return "kubelet has not reported yet"
}

// The images that every cluster with nodes has.
const (
	imagePrefix  = "devcluster.local/"
	pauseImage   = imagePrefix + "pause:1"
	corednsImage = imagePrefix + "coredns:1"
	agnhostImage = imagePrefix + "agnhost:1"
)

// loadOwnImages waits for the container runtimes by trying.
func loadOwnImages(layout Layout, state *State, nodes []*Node, deadline time.Time) error {
	if len(nodes) == 0 {
		return nil
	}
	for {
		problem := runtimesProblem(nodes)
		if problem == nil {
			break
		}
		if err := allAlive(layout, state.everything()); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the container runtimes did not start in time: %w", problem)
		}
		time.Sleep(50 * time.Millisecond)
	}
	own := []images.Image{
		{Name: pauseImage, Binary: filepath.Join(state.Bundle, "bin/pause")},
		{Name: corednsImage, Binary: filepath.Join(state.Bundle, "bin/coredns")},
		{Name: agnhostImage, Binary: filepath.Join(state.Bundle, "bin/agnhost")},
	}
	var all errgroup.Group
	for _, image := range own {
		all.Go(func() error { return loadImage(state, nodes, image) })
	}
	return all.Wait()
}

func loadImage(state *State, nodes []*Node, image images.Image) error {
	var targets []images.Target
	for _, n := range nodes {
		targets = append(targets, images.Target{Socket: n.ContainerdSocket, Snapshotter: n.Config.Snapshotter})
	}
	return images.Load(filepath.Join(state.Bundle, "packages/usr/bin/ctr"), state.DataDir, image, targets)
}
