package main

import (
	"fmt"
	"strings"
	"time"

	"tickrelay/relay/auth"
)

// authConfig says whom the gateway lets in. Secrets are in files or in environment
// variables, never in the configuration itself.
type authConfig struct {
	Tokens []tokenConfig `yaml:"tokens"`
	JWT    *jwtConfig    `yaml:"jwt"`
}

// tokenConfig is one secret; exactly one of file and env is set.
type tokenConfig struct {
	Name      string   `yaml:"name"`
	TokenFile string   `yaml:"token_file"`
	TokenEnv  string   `yaml:"token_env"`
	Topics    []string `yaml:"topics"`
	Metrics   bool     `yaml:"metrics"`
}

// jwtConfig says which JSON Web Tokens to believe; see auth.JWT.
type jwtConfig struct {
	HS256File     string `yaml:"hs256_file"`
	HS256Env      string `yaml:"hs256_env"`
	PublicKeyFile string `yaml:"public_key_file"`
	JWKSFile      string `yaml:"jwks_file"`
	Issuer        string `yaml:"issuer"`
	Audience      string `yaml:"audience"`
	Leeway        string `yaml:"leeway"`
	TopicsClaim   string `yaml:"topics_claim"`
}

// gateway is what the gateway is told, nil where everybody may come in.
func (a *authConfig) gateway() *auth.Config {
	if a == nil {
		return nil
	}
	c := &auth.Config{}
	for _, t := range a.Tokens {
		c.Tokens = append(c.Tokens, auth.Token{Name: t.Name, File: t.TokenFile, Env: t.TokenEnv, Topics: t.Topics, Metrics: t.Metrics})
	}
	if j := a.JWT; j != nil {
		leeway, _ := j.leeway() // validated
		c.JWT = &auth.JWT{HS256File: j.HS256File, HS256Env: j.HS256Env, PublicKeyFile: j.PublicKeyFile, JWKSFile: j.JWKSFile,
			Issuer: j.Issuer, Audience: j.Audience, Leeway: leeway, TopicsClaim: j.TopicsClaim}
	}
	return c
}

func (j *jwtConfig) leeway() (time.Duration, error) {
	if j.Leeway == "" {
		return 0, nil
	}
	return time.ParseDuration(j.Leeway)
}

func (a *authConfig) validate(d *yamlDecoder) {
	if a == nil {
		return
	}
	if a.JWT != nil {
		if _, err := a.JWT.leeway(); err != nil {
			d.at("auth.jwt.leeway", "%q: want a time such as 30s", a.JWT.Leeway)
		}
	}
	if err := a.gateway().Validate(); err != nil {
		for line := range strings.Lines(err.Error()) {
			d.at("auth", "%s", strings.TrimPrefix(strings.TrimSpace(line), "auth: "))
		}
	}
	for i, t := range a.Tokens {
		if len(t.Topics) == 0 && !t.Metrics {
			d.at(fmt.Sprintf("auth.tokens[%d]", i), "it grants nothing: want topics, such as [\">\"], or metrics: true")
		}
	}
}
