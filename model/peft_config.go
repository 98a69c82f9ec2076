package model

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"align/internal/jsonfile"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// peftConfig is adapter_config.json. PEFT ignores keys that it does not know
// and so do we; the ones that would change the numbers are checked.
type peftConfig struct {
	AlphaPattern      jsontext.Value `json:"alpha_pattern"`
	BaseModel         string         `json:"base_model_name_or_path"`
	Bias              string         `json:"bias"`
	FanInFanOut       bool           `json:"fan_in_fan_out"`
	InferenceMode     bool           `json:"inference_mode"`
	InitLoRAWeights   jsontext.Value `json:"init_lora_weights"`
	LayersPattern     *string        `json:"layers_pattern"`
	LayersToTransform jsontext.Value `json:"layers_to_transform"`
	LoRAAlpha         jsontext.Value `json:"lora_alpha"`
	LoRADropout       float64        `json:"lora_dropout"`
	ModulesToSave     []string       `json:"modules_to_save"`
	PeftType          string         `json:"peft_type"`
	Rank              int            `json:"r"`
	RankPattern       map[string]int `json:"rank_pattern"`
	Revision          *string        `json:"revision"`
	TargetModules     jsontext.Value `json:"target_modules"`
	TaskType          string         `json:"task_type"`
	UseDoRA           bool           `json:"use_dora"`
	UseRSLoRA         bool           `json:"use_rslora"`
}

func readPEFTConfig(path string) (peftConfig, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return peftConfig{}, fmt.Errorf("model: %w", err)
	}
	var c peftConfig
	if err := jsonfile.Unmarshal(data, &c); err != nil {
		return c, fmt.Errorf("model: %s: %w", path, err)
	}
	if err := c.supported(); err != nil {
		return c, fmt.Errorf("model: %s: %w", path, err)
	}
	return c, nil
}

// supported names what would make the adapter's numbers wrong here.
func (c peftConfig) supported() error {
	var errs []error
	if c.PeftType != "LORA" {
		errs = append(errs, fmt.Errorf("peft_type %q: only LORA is supported", c.PeftType))
	}
	if c.Bias != "" && c.Bias != "none" {
		errs = append(errs, fmt.Errorf("bias %q: only none is supported", c.Bias))
	}
	if c.FanInFanOut {
		errs = append(errs, errors.New("fan_in_fan_out is not supported"))
	}
	if init := string(c.InitLoRAWeights); changesBase(init) {
		errs = append(errs, fmt.Errorf("init_lora_weights %s changes the base model that the adapter belongs to: convert it by PEFT's save_pretrained with path_initial_model_for_weight_conversion", init))
	}
	if len(c.TargetModules) > 0 {
		for _, name := range SavedModules {
			if strings.Contains(string(c.TargetModules), `"`+name+`"`) {
				errs = append(errs, fmt.Errorf("target_modules %q: its factors are not supported; modules_to_save trains it whole", name))
			}
		}
	}
	for _, name := range c.saved() {
		if !slices.Contains(SavedModules, name) {
			errs = append(errs, fmt.Errorf("modules_to_save %q: only %s can be trained whole", name, strings.Join(SavedModules, " and ")))
		}
	}
	return errors.Join(errs...)
}

// changesBase says whether an initialisation takes its factors out of the base's
// weights, as PiSSA, OLoRA, CorDA and LoftQ do. The others leave the base alone.
func changesBase(init string) bool {
	switch init {
	case "", "null", "true", "false", `"gaussian"`, `"orthogonal"`, `"eva"`:
		return false
	}
	return true
}

// pattern is an entry of alpha_pattern: PEFT's keys are regular expressions
// that match a module's name, or the end of it after a dot.
type pattern struct {
	name  *regexp.Regexp
	value float64
}

// readPatterns reads alpha_pattern in the file's order, which decides where
// several match.
func readPatterns(raw jsontext.Value) ([]pattern, error) {
	if len(raw) == 0 || raw.Kind() == jsontext.KindNull {
		return nil, nil
	}
	d := jsontext.NewDecoder(bytes.NewReader(raw))
	if token, err := d.ReadToken(); err != nil || token.Kind() != jsontext.KindBeginObject {
		return nil, errors.New("alpha_pattern is no object")
	}
	var list []pattern
	for d.PeekKind() == jsontext.KindString {
		var key string
		var p pattern
		if err := errors.Join(json.UnmarshalDecode(d, &key), json.UnmarshalDecode(d, &p.value)); err != nil {
			return nil, fmt.Errorf("alpha_pattern: %w", err)
		}
		var err error
		if p.name, err = regexp.Compile(`^(.*\.)?(` + key + `)$`); err != nil {
			return nil, fmt.Errorf("alpha_pattern %q: %w", key, err)
		}
		list = append(list, p)
	}
	return list, nil
}

// matchPattern is the value of the first entry for a module.
func matchPattern(patterns []pattern, name string) (float64, bool) {
	for _, p := range patterns {
		if p.name.MatchString(name) {
			return p.value, true
		}
	}
	return 0, false
}

func (c peftConfig) alpha() (float64, error) {
	var alpha float64
	if len(c.LoRAAlpha) == 0 {
		return 8, nil // PEFT's default
	}
	if err := json.Unmarshal(c.LoRAAlpha, &alpha); err != nil {
		return 0, fmt.Errorf("lora_alpha is %s: want a number", c.LoRAAlpha)
	}
	return alpha, nil
}
