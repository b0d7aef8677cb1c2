package populate

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"net/netip"

	"bulkhead.dev/devcluster/internal/facts"
)

// podPlan is the identity of one pod.
type podPlan struct {
	name string
	node node
	ip   string
}

// fixedReplicas is the number of pods per workload in tenant and awkward namespaces.
const fixedReplicas = 2

// placer hands out nodes and addresses in the order in which it is asked.
type placer struct {
	// taken counts the pod addresses in use per node.
	taken map[string]int
}

func newPlacer() *placer { return &placer{taken: map[string]int{}} }

// place gives every workload of the namespace its pods.
func (p *placer) place(plan namespacePlan, replicas int) (namespacePlan, error) {
	for index := range plan.workloads {
		workload := &plan.workloads[index]
		for ordinal := range workload.podCount(replicas) {
			pod, err := p.pod(workload, ordinal)
			if err != nil {
				return plan, err
			}
			workload.pods = append(workload.pods, pod)
		}
	}
	return plan, nil
}

func (w *workloadPlan) podCount(replicas int) int {
	switch w.Kind {
	case facts.KindStaticPod:
		return min(replicas, len(controlPlaneNodes()))
	case facts.KindDeployment, facts.KindDaemonSet, facts.KindStatefulSet:
		return replicas
	default:
		return 1
	}
}

func (p *placer) pod(workload *workloadPlan, ordinal int) (podPlan, error) {
	nodes := clusterNodes()
	if workload.Kind == facts.KindStaticPod {
		nodes = controlPlaneNodes()
	}
	key := workload.namespace + "/" + workload.Name
	start := 0
	if workload.Kind != facts.KindStaticPod {
		start = int(hashOf(key) % uint64(len(nodes)))
	}
	pod := podPlan{node: nodes[(start+ordinal)%len(nodes)]}
	pod.name = podName(workload, ordinal, pod.node)
	if workload.HostNetwork {
		pod.ip = pod.node.address
		return pod, nil
	}
	address, err := p.nextAddress(pod.node)
	pod.ip = address
	return pod, err
}

// nextAddress skips the network address and the gateway of the node.
func (p *placer) nextAddress(n node) (string, error) {
	network := netip.MustParsePrefix(n.podNetwork)
	base := network.Addr().As4()
	offset := uint32(p.taken[n.name] + 2)
	p.taken[n.name]++
	address := netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(base[:])+offset)))
	if !network.Contains(address) {
		return "", fmt.Errorf("the pod network %s of node %s is full: ask for fewer copies or pods", n.podNetwork, n.name)
	}
	return address.String(), nil
}

// podName follows the pattern of the controller that would have made the pod.
func podName(workload *workloadPlan, ordinal int, n node) string {
	switch workload.Kind {
	case facts.KindStatefulSet:
		return fmt.Sprintf("%s-%d", workload.Name, ordinal)
	case facts.KindStaticPod:
		return workload.Name + "-" + n.name
	case facts.KindDeployment:
		return workload.replicaSetName() + "-" + suffix(workload.Name, ordinal)
	case facts.KindDaemonSet, facts.KindJob, facts.KindCronJob:
		return workload.Name + "-" + suffix(workload.Name, ordinal)
	default:
		return workload.Name
	}
}

// replicaSetName carries the hash that the pods have as a label, too.
func (w *workloadPlan) replicaSetName() string { return w.Name + "-" + w.templateHash() }

func (w *workloadPlan) templateHash() string { return letters(hashOf("template/"+w.Name), 9) }

func suffix(name string, ordinal int) string {
	return letters(hashOf(fmt.Sprintf("pod/%s/%d", name, ordinal)), 5)
}

func hashOf(text string) uint64 {
	hash := fnv.New64a()
	hash.Write([]byte(text))
	// FNV leaves the last characters in the low bits; fold the rest in.
	sum := hash.Sum64()
	return sum ^ sum>>29
}

// letters writes a number in the alphabet of generated Kubernetes names.
func letters(number uint64, length int) string {
	const alphabet = "bcdfghjklmnpqrstvwxz2456789"
	text := make([]byte, length)
	for index := range text {
		text[index] = alphabet[number%uint64(len(alphabet))]
		number /= uint64(len(alphabet))
	}
	return string(text)
}
