package populate

import (
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// platformObject is one of OpenShift's cluster-scoped singletons.
type platformObject struct {
	resource schema.GroupResource
	kind     string
	name     string
	// manager is the field manager of the operator that owns the object.
	manager string
	spec    map[string]any
	status  map[string]any
	// statusInSpecWrite holds for a kind without a status subresource.
	statusInSpecWrite bool
}

func (p platformObject) content() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": p.resource.Group + "/v1",
		"kind":       p.kind,
		"metadata":   map[string]any{"name": p.name},
		"spec":       p.spec,
		"status":     p.status,
	}}
}

func config(plural string) schema.GroupResource {
	return schema.GroupResource{Group: "config.openshift.io", Resource: plural}
}

// platformObjects describe a healthy, settled installation of the release.
func platformObjects(options Options) []platformObject {
	now := time.Now().UTC().Format(time.RFC3339)
	networking := map[string]any{
		"clusterNetwork": []any{map[string]any{"cidr": "10.128.0.0/14", "hostPrefix": int64(23)}},
		"serviceNetwork": []any{"172.30.0.0/16"},
		"networkType":    "OVNKubernetes",
	}
	return []platformObject{
		{
			resource: operatorNetworks, kind: "Network", name: "cluster", manager: "cluster-network-operator",
			spec: map[string]any{
				"managementState":           "Managed",
				"clusterNetwork":            networking["clusterNetwork"],
				"serviceNetwork":            networking["serviceNetwork"],
				"defaultNetwork":            map[string]any{"type": "OVNKubernetes"},
				"disableNetworkDiagnostics": false,
			},
			status: map[string]any{"version": options.Release, "conditions": healthy(now)},
		},
		{
			resource: config("networks"), kind: "Network", name: "cluster", manager: "cluster-network-operator",
			spec: networking, status: networking, statusInSpecWrite: true,
		},
		{
			resource: config("clusteroperators"), kind: "ClusterOperator", name: "network", manager: "cluster-network-operator",
			spec: map[string]any{},
			status: map[string]any{
				"conditions": healthy(now),
				"versions":   []any{map[string]any{"name": "operator", "version": options.Release}},
				"relatedObjects": []any{
					map[string]any{"group": "", "resource": "namespaces", "name": "openshift-network-operator"},
					map[string]any{"group": "operator.openshift.io", "resource": "networks", "name": "cluster"},
				},
			},
		},
		clusterVersion(options.Release, now),
		{
			resource: config("infrastructures"), kind: "Infrastructure", name: "cluster", manager: "cluster-bootstrap",
			spec: map[string]any{"platformSpec": map[string]any{"type": "AWS"}},
			status: map[string]any{
				"controlPlaneTopology":   "HighlyAvailable",
				"infrastructureTopology": "HighlyAvailable",
				"infrastructureName":     "devcluster-0a1b2",
				"platform":               "AWS",
				"platformStatus":         map[string]any{"type": "AWS"},
				"apiServerURL":           "https://api.devcluster.invalid:6443",
				"apiServerInternalURI":   "https://api-int.devcluster.invalid:6443",
			},
		},
	}
}

func clusterVersion(release, now string) platformObject {
	image := "registry.invalid/release:" + release
	conditions := append(healthy(now), condition(now, "Failing", "False"))
	return platformObject{
		resource: config("clusterversions"), kind: "ClusterVersion", name: "version", manager: "cluster-version-operator",
		spec: map[string]any{"clusterID": "00000000-0000-4000-8000-000000000001", "channel": "stable"},
		status: map[string]any{
			"desired":          map[string]any{"version": release, "image": image},
			"availableUpdates": nil,
			"conditions":       conditions,
			"history": []any{map[string]any{
				"state": "Completed", "version": release, "image": image, "verified": true,
				"startedTime": now, "completionTime": now,
			}},
			"observedGeneration": int64(1),
			"versionHash":        "devcluster",
		},
	}
}

func healthy(now string) []any {
	return []any{
		condition(now, "Available", "True"),
		condition(now, "Progressing", "False"),
		condition(now, "Degraded", "False"),
		condition(now, "Upgradeable", "True"),
	}
}

func condition(now, kind, status string) map[string]any {
	return map[string]any{"type": kind, "status": status, "reason": "AsExpected", "lastTransitionTime": now}
}
