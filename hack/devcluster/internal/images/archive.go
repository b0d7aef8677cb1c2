// Package images makes container images of single static binaries and gives
// them to the nodes. No registry takes part.
package images

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
)

// Image is one static binary under a name.
type Image struct {
	// Name with a tag, for example devcluster.local/agnhost:1.
	Name string
	// Binary is the file on this machine.
	Binary string
	// Args follow the binary in the entrypoint.
	Args []string
}

// manifest and imageConfig are what `docker load` reads, as far as containerd
// reads it too.
type manifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

type imageConfig struct {
	Architecture string            `json:"architecture"`
	OS           string            `json:"os"`
	Config       containerSettings `json:"config"`
	RootFS       rootFS            `json:"rootfs"`
}

type containerSettings struct {
	Entrypoint []string `json:",omitempty"`
	Env        []string `json:",omitempty"`
	WorkingDir string   `json:",omitempty"`
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

// validate finds what would only show as a pod that never starts.
func (i *Image) validate() error {
	repository, tag, tagged := strings.Cut(path.Base(i.Name), ":")
	if !tagged || repository == "" || tag == "" || !strings.Contains(i.Name, "/") {
		return fmt.Errorf("image name %q: write HOST/NAME:TAG, for example devcluster.local/prober:1", i.Name)
	}
	if i.Name != strings.ToLower(i.Name) || strings.HasSuffix(i.Name, ":latest") {
		return fmt.Errorf("image name %q: use lower case, and a tag other than latest, which kubelet would try to pull", i.Name)
	}
	info, err := os.Stat(i.Binary)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return fmt.Errorf("%s is not an executable file", i.Binary)
	}
	return checkStatic(i.Binary)
}

// Write makes an archive of the image. The same binary gives the same archive.
// The layer is made twice, for its digest and size and then for good, which is
// cheaper than to keep it anywhere.
func (i *Image) Write(archive io.Writer) error {
	if err := i.validate(); err != nil {
		return err
	}
	digest, size := sha256.New(), counter(0)
	if err := i.writeLayer(io.MultiWriter(digest, &size)); err != nil {
		return err
	}
	return i.writeArchive(archive, hex.EncodeToString(digest.Sum(nil)), int64(size))
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(content []byte) (int, error) {
	*c += counter(len(content))
	return len(content), nil
}

func (i *Image) writeLayer(to io.Writer) error {
	out := tar.NewWriter(to)
	for _, folder := range []struct {
		name string
		mode int64
	}{{"etc/", 0o755}, {"tmp/", 0o1777}} {
		if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: folder.name, Mode: folder.mode}); err != nil {
			return err
		}
	}
	if err := addBytes(out, "etc/passwd", []byte("root:x:0:0:root:/:/\nnobody:x:65534:65534:nobody:/:/\n")); err != nil {
		return err
	}
	if err := addFile(out, filepath.Base(i.Binary), i.Binary, 0o755); err != nil {
		return err
	}
	return out.Close()
}

func (i *Image) writeArchive(to io.Writer, digest string, size int64) error {
	config, err := json.Marshal(imageConfig{
		Architecture: runtime.GOARCH,
		OS:           "linux",
		Config: containerSettings{
			Entrypoint: append([]string{"/" + filepath.Base(i.Binary)}, i.Args...),
			Env:        []string{"PATH=/"},
			WorkingDir: "/",
		},
		RootFS: rootFS{Type: "layers", DiffIDs: []string{"sha256:" + digest}},
	})
	if err != nil {
		return err
	}
	sum := sha256.Sum256(config)
	configName := hex.EncodeToString(sum[:]) + ".json"
	layerName := digest + "/layer.tar"
	index, err := json.Marshal([]manifest{{Config: configName, RepoTags: []string{i.Name}, Layers: []string{layerName}}})
	if err != nil {
		return err
	}
	out := tar.NewWriter(to)
	if err := errors.Join(addBytes(out, configName, config), addBytes(out, "manifest.json", index)); err != nil {
		return err
	}
	if err := out.WriteHeader(&tar.Header{Name: layerName, Mode: 0o644, Size: size}); err != nil {
		return err
	}
	return errors.Join(i.writeLayer(out), out.Close())
}

func addBytes(out *tar.Writer, name string, content []byte) error {
	if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := io.Copy(out, bytes.NewReader(content))
	return err
}

func addFile(out *tar.Writer, name, file string, mode int64) error {
	source, err := os.Open(file)
	if err != nil {
		return err
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	if err := out.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: info.Size()}); err != nil {
		return err
	}
	_, err = io.Copy(out, source)
	return err
}
