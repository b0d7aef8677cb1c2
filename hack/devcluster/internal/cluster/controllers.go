package cluster

// controllers are the parts of kube-controller-manager that run here. The
// Deployments, ReplicaSets, Pods and Nodes of this cluster are written by hand
// and have no kubelet behind them, so these stay out, in any later change too:
//
//   - deployment, replicaset, daemonset, statefulset, job, cronjob: would add
//     pods of their own beside the written ones and reset the written status;
//   - pod-garbage-collector: deletes pods that are bound to missing nodes;
//   - node-lifecycle, taint-eviction: mark silent nodes NotReady and evict;
//   - endpoints: a second, deprecated copy of every EndpointSlice.
var controllers = []string{
	"namespace-controller",                        // deletes the content of deleted namespaces
	"garbage-collector-controller",                // follows owner references
	"endpointslice-controller",                    // Services with a selector
	"serviceaccount-controller",                   // the `default` account of every namespace
	"serviceaccount-token-controller",             // token Secrets that are asked for by annotation
	"root-ca-certificate-publisher-controller",    // kube-root-ca.crt, part of every pod's token volume
	"clusterrole-aggregation-controller",          // admin, edit, view and other aggregated roles
	"disruption-controller",                       // status of PodDisruptionBudgets
	"validatingadmissionpolicy-status-controller", // type checks of admission policies
}
