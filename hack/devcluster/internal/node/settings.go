package node

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// writeSettings fills the node's own /etc, and makes the folders that programs
// expect to find.
func writeSettings(config *Config) error {
	for _, folder := range []string{"/var/tmp", "/var/lib/kubelet", "/var/lib/containerd", "/run/cilium", "/root"} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	files := map[string]string{
		"/etc/machine-id":                       machineID(config.Name) + "\n",
		"/etc/hostname":                         config.Name + "\n",
		"/etc/hosts":                            "127.0.0.1 localhost\n" + config.Address + " " + config.Name + "\n",
		"/etc/passwd":                           "root:x:0:0:root:/root:/bin/sh\n",
		"/etc/group":                            "root:x:0:\n",
		"/etc/nsswitch.conf":                    "hosts: files dns\n",
		"/etc/resolv.conf":                      "nameserver " + config.ClusterDNS + "\n",
		"/etc/containerd/config.toml":           containerdSettings(config),
		"/etc/containerd/cni/1-cilium.conflist": cniSettings,
		"/etc/kubelet.yaml":                     kubeletSettings(config),
	}
	if err := copySources(); err != nil {
		return err
	}
	for file, content := range files {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// machineID tells the nodes of a cluster apart.
func machineID(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:16])
}

// copySources gives the agent its BPF sources where it may write beside them.
func copySources() error {
	if err := os.RemoveAll(agentLibrary); err != nil {
		return err
	}
	return os.CopyFS(agentLibrary, os.DirFS(bundleInside+"/cilium"))
}

// containerdSettings: without CAP_SYS_RESOURCE runc cannot lower a score below
// its own, so containerd asks for no less than it has.
func containerdSettings(config *Config) string {
	return fmt.Sprintf(`version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "%s"
  restrict_oom_score_adj = true
  disable_apparmor = true

[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "%s"

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "%s/cni"
  conf_dir = "/etc/containerd/cni"
  max_conf_num = 1
`, config.SandboxImage, config.Snapshotter, bundleInside)
}

// cniSettings are ours, so that the network agent need not write into /etc.
const cniSettings = `{
  "cniVersion": "0.3.1",
  "name": "cilium",
  "plugins": [{"type": "cilium-cni", "enable-debug": false, "log-file": "/run/cilium/cilium-cni.log"}]
}
`

func kubeletSettings(config *Config) string {
	return strings.ReplaceAll(strings.ReplaceAll(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: CREDENTIALS/ca.crt}
authorization: {mode: Webhook}
tlsCertFile: CREDENTIALS/kubelet.crt
tlsPrivateKeyFile: CREDENTIALS/kubelet.key
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
resolvConf: /etc/resolv.conf
clusterDomain: cluster.local
clusterDNS: [CLUSTERDNS]
volumePluginDir: /var/lib/kubelet/plugins
maxPods: 250
# One user's share of a machine is not divided any further.
cgroupDriver: cgroupfs
failCgroupV1: false
cgroupsPerQOS: false
enforceNodeAllocatable: []
failSwapOn: false
makeIPTablesUtilChains: false
# Images come once, by hand, and must stay.
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 50Mi, nodefs.available: 1%, nodefs.inodesFree: 1%, imagefs.available: 1%}
# Pods of tests come and go quickly.
serializeImagePulls: false
registryPullQPS: 0
kubeAPIQPS: 200
kubeAPIBurst: 400
syncFrequency: 10s
`, "CREDENTIALS", "/run/"+credentials), "CLUSTERDNS", config.ClusterDNS)
}
