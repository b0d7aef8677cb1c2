package populate

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// node is a machine that exists on paper only: EndpointSlices want one behind
// every pod.
type node struct {
	name, address, podNetwork string
	controlPlane              bool
}

// clusterNodes are three of each kind, each with an eighth of the pod network
// of an OpenShift installation, 10.128.0.0/14.
func clusterNodes() []node {
	nodes := make([]node, 0, 6)
	for index := range 6 {
		kind, number := "control-plane", index
		if index >= 3 {
			kind, number = "worker", index-3
		}
		nodes = append(nodes, node{
			name:         fmt.Sprintf("%s-%d", kind, number),
			address:      fmt.Sprintf("192.168.10.%d", 10+index),
			podNetwork:   fmt.Sprintf("10.%d.%d.0/17", 128+index/2, 128*(index%2)),
			controlPlane: index < 3,
		})
	}
	return nodes
}

func controlPlaneNodes() []node { return clusterNodes()[:3] }

func (n node) role() string {
	if n.controlPlane {
		return "master"
	}
	return "worker"
}

func (c *clients) createNode(ctx context.Context, n node) (*corev1.Node, error) {
	labels := map[string]string{
		"kubernetes.io/hostname":              n.name,
		"kubernetes.io/os":                    "linux",
		"node-role.kubernetes.io/" + n.role(): "",
		"node.openshift.io/os_id":             "rhel",
	}
	if n.controlPlane {
		labels["node-role.kubernetes.io/control-plane"] = ""
	}
	api := c.kube.CoreV1().Nodes()
	object, err := ensure(ctx, c, "Node", api, &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: n.name, Labels: labels},
		Spec:       corev1.NodeSpec{PodCIDR: n.podNetwork, PodCIDRs: []string{n.podNetwork}},
	})
	if err != nil {
		return nil, err
	}
	capacity := corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("16"),
		corev1.ResourceMemory: resource.MustParse("64Gi"),
		corev1.ResourcePods:   resource.MustParse("10000"),
	}
	object.Status = corev1.NodeStatus{
		Capacity:    capacity,
		Allocatable: capacity,
		Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeInternalIP, Address: n.address},
			{Type: corev1.NodeHostName, Address: n.name},
		},
		Conditions: []corev1.NodeCondition{{
			Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady",
			LastHeartbeatTime: object.CreationTimestamp, LastTransitionTime: object.CreationTimestamp,
		}},
	}
	if _, err := api.UpdateStatus(ctx, object, metav1.UpdateOptions{}); err != nil {
		return nil, err
	}
	return object, nil
}
