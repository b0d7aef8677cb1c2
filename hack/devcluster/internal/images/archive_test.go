package images

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// own is the test binary itself: static, because the tests are built that way.
func own(t *testing.T) string {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return executable
}

func TestArchiveNamesTheBinaryAndItsArguments(t *testing.T) {
	image := Image{Name: "devcluster.local/own:1", Binary: own(t), Args: []string{"--flag", "value"}}
	var archive bytes.Buffer
	if err := image.Write(&archive); err != nil {
		t.Fatal(err)
	}
	files := untar(t, &archive)
	var index []manifest
	if err := json.Unmarshal(files["manifest.json"], &index); err != nil {
		t.Fatal(err)
	}
	if len(index) != 1 || !slices.Equal(index[0].RepoTags, []string{image.Name}) {
		t.Fatalf("index %+v does not name the image", index)
	}
	var config imageConfig
	if err := json.Unmarshal(files[index[0].Config], &config); err != nil {
		t.Fatal(err)
	}
	base := filepath.Base(image.Binary)
	if want := []string{"/" + base, "--flag", "value"}; !slices.Equal(config.Config.Entrypoint, want) {
		t.Errorf("entrypoint %v, want %v", config.Config.Entrypoint, want)
	}
	layer := untar(t, bytes.NewReader(files[index[0].Layers[0]]))
	content, err := os.ReadFile(image.Binary)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(layer[base], content) {
		t.Errorf("the layer does not hold the binary: %d bytes of %d", len(layer[base]), len(content))
	}
}

func TestTheSameBinaryGivesTheSameArchive(t *testing.T) {
	image := Image{Name: "devcluster.local/own:1", Binary: own(t)}
	var first, second bytes.Buffer
	if err := errors.Join(image.Write(&first), image.Write(&second)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("two archives of one binary differ")
	}
}

func TestWhatCannotRunIsRefusedWithItsReason(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		image Image
		want  string
	}{
		"no tag":         {Image{Name: "devcluster.local/own", Binary: own(t)}, "HOST/NAME:TAG"},
		"no host":        {Image{Name: "own:1", Binary: own(t)}, "HOST/NAME:TAG"},
		"port, no tag":   {Image{Name: "devcluster.local:5000/own", Binary: own(t)}, "HOST/NAME:TAG"},
		"upper case":     {Image{Name: "devcluster.local/Own:1", Binary: own(t)}, "lower case"},
		"latest":         {Image{Name: "devcluster.local/own:latest", Binary: own(t)}, "latest"},
		"missing":        {Image{Name: "devcluster.local/own:1", Binary: plain + "-not"}, "no such file"},
		"not executable": {Image{Name: "devcluster.local/own:1", Binary: plain}, "not an executable"},
		"a script":       {Image{Name: "devcluster.local/own:1", Binary: script}, "not a Linux program"},
		"dynamic":        {Image{Name: "devcluster.local/own:1", Binary: "/bin/ls"}, "linked dynamically"},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.image.Write(io.Discard)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want something about %q", err, test.want)
			}
		})
	}
}

func untar(t *testing.T, from io.Reader) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for archive := tar.NewReader(from); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[header.Name], err = io.ReadAll(archive); err != nil {
			t.Fatal(err)
		}
	}
}
