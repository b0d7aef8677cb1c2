package populate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

// services are the Services of a namespace, by name. Where several workloads
// stand behind one Service, it selects by the labels that they share.
func services(plan namespacePlan) (map[string]*corev1.Service, error) {
	result := map[string]*corev1.Service{}
	for _, workload := range plan.workloads {
		seen := map[string]bool{}
		for _, port := range workload.Ports {
			if port.Service == "" {
				continue
			}
			service, exists := result[port.Service]
			if !exists {
				service = &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: plan.name, Name: port.Service}}
				service.Spec.Selector = maps.Clone(workload.selectorLabels())
				result[port.Service] = service
			} else if !seen[port.Service] {
				keepShared(service.Spec.Selector, workload.selectorLabels())
			}
			seen[port.Service] = true
			if len(service.Spec.Selector) == 0 {
				return nil, fmt.Errorf("%s: the workloads behind service %s share no label", plan.name, port.Service)
			}
			addServicePort(service, port.ServicePort, port.Port.Port, port.Protocol)
		}
	}
	return result, nil
}

func keepShared(labels, others map[string]string) {
	maps.DeleteFunc(labels, func(key, value string) bool {
		other, exists := others[key]
		return !exists || other != value
	})
}

// addServicePort ignores a repetition: two workloads behind one Service listen
// on the same port.
func addServicePort(service *corev1.Service, port, target int32, protocol string) {
	name := fmt.Sprintf("%s-%d", strings.ToLower(protocol), port)
	if slices.ContainsFunc(service.Spec.Ports, func(p corev1.ServicePort) bool { return p.Name == name }) {
		return
	}
	service.Spec.Ports = append(service.Spec.Ports, corev1.ServicePort{
		Name: name, Port: port, Protocol: corev1.Protocol(protocol), TargetPort: intstr.FromInt32(target),
	})
}

func (c *clients) createServices(ctx context.Context, plan namespacePlan) error {
	all, err := services(plan)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if _, err := ensure(ctx, c, "Service", c.kube.CoreV1().Services(plan.name), all[name]); err != nil {
			return fmt.Errorf("service %s/%s: %w", plan.name, name, err)
		}
	}
	return nil
}

// createKubernetesEndpoints names the API servers as they would be on the
// nodes of a real installation; the one that runs here listens on loopback,
// which an EndpointSlice may not say.
func (c *clients) createKubernetesEndpoints(ctx context.Context) error {
	const apiPort = 6443
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name:   "kubernetes",
			Labels: map[string]string{discoveryv1.LabelServiceName: "kubernetes"},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports: []discoveryv1.EndpointPort{{
			Name: ptr.To("https"), Port: ptr.To[int32](apiPort), Protocol: ptr.To(corev1.ProtocolTCP),
		}},
	}
	for _, n := range controlPlaneNodes() {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{n.address}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)},
		})
	}
	_, err := ensure(ctx, c, "EndpointSlice", c.kube.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault), slice)
	return err
}
