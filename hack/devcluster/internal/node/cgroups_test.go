package node

import "testing"

// The test asks the guard alone: behind it, all processes of a group end.
func TestOnlyGroupsOfClustersAreOurs(t *testing.T) {
	for _, group := range []string{"", ".", "/", "system.slice", "bulkhead-devcluster-1/../system.slice", "../bulkhead-devcluster-1", "bulkhead-devcluster-1/"} {
		if ownGroup(group) {
			t.Errorf("%q passes as a group of ours", group)
		}
	}
	for _, group := range []string{"bulkhead-devcluster-1", "bulkhead-devcluster-1/node-1"} {
		if !ownGroup(group) {
			t.Errorf("%q does not pass as a group of ours", group)
		}
	}
}
