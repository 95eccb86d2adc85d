package top

import (
	"context"
	"errors"
	"io"
	"time"

	tea "charm.land/bubbletea/v2"

	"tickrelay/relay"
)

// Model is the interactive view: it asks its source at an interval, keeps the
// history and answers keys. It is a tea.Model; one goroutine drives it.
type Model struct {
	ctx   context.Context
	ask   Source
	every time.Duration
	h     *History
	o     Options
}

// NewModel returns a model that asks ask at an interval of every.
func NewModel(ctx context.Context, ask Source, every time.Duration) *Model {
	return &Model{ctx: ctx, ask: ask, every: every, h: &History{}, o: Options{Width: 80, Height: 24, Color: true}}
}

// sampleMsg is an answer; askMsg says that it is time for the next question.
type (
	sampleMsg struct {
		o   *relay.Overview
		err error
	}
	askMsg struct{}
)

// Init asks for the first time.
func (m *Model) Init() tea.Cmd { return m.question }

func (m *Model) question() tea.Msg {
	o, err := m.ask(m.ctx)
	return sampleMsg{o, err}
}

// Update takes an answer, a key or the terminal's size.
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.o.Width, m.o.Height = msg.Width, msg.Height
	case sampleMsg:
		m.o.Err = msg.err
		if msg.err == nil && !m.o.Paused {
			m.h.Add(msg.o)
		}
		return m, tea.Tick(m.every, func(time.Time) tea.Msg { return askMsg{} })
	case askMsg:
		return m, m.question
	case tea.KeyPressMsg:
		return m, m.key(msg.String())
	}
	return m, nil
}

// key does what a key means.
func (m *Model) key(key string) tea.Cmd {
	switch key {
	case "q", "ctrl+c":
		return tea.Quit
	case "?", "h":
		m.o.Help = !m.o.Help
	case "esc":
		m.o.Help = false
	case "p":
		m.o.Paused = !m.o.Paused
	case "tab":
		m.show((m.o.View + 1) % numViews)
	case "shift+tab":
		m.show((m.o.View + numViews - 1) % numViews)
	case "1", "2", "3", "4", "5":
		m.show(View(key[0] - '1'))
	case "s":
		m.sort(1)
	case "S":
		m.sort(-1)
	case "r":
		m.o.Reverse = !m.o.Reverse
	default:
		m.scroll(key)
	}
	return nil
}

func (m *Model) show(v View) {
	m.o.View, m.o.Sort, m.o.Reverse, m.o.Scroll, m.o.Help = v, 0, false, 0, false
}

func (m *Model) sort(by int) {
	if n := len(Columns(m.o.View)); n > 0 {
		m.o.Sort, m.o.Scroll = (m.o.Sort+by+n)%n, 0
	}
}

func (m *Model) scroll(key string) {
	page := max(1, m.o.Height-16)
	switch key {
	case "up", "k":
		m.o.Scroll--
	case "down", "j":
		m.o.Scroll++
	case "pgup":
		m.o.Scroll -= page
	case "pgdown", "space":
		m.o.Scroll += page
	case "home", "g":
		m.o.Scroll = 0
	case "end", "G":
		m.o.Scroll = m.rows() - 1
	}
	m.o.Scroll = max(0, min(m.o.Scroll, m.rows()-1))
}

// rows are those of the view's table.
func (m *Model) rows() int {
	if m.h.Last() == nil || m.o.View == ViewAll {
		return 0
	}
	return len((&frame{h: m.h, o: m.o}).table(m.o.View).rows)
}

// View draws the frame on the terminal's other screen, so that what was there
// before comes back at the end.
func (m *Model) View() tea.View {
	v := tea.NewView(Frame(m.h, m.o))
	v.AltScreen = true
	v.WindowTitle = "tickrelay top"
	return v
}

// Run is the program on a terminal, with the view to begin with, until a key, or ctx, ends it.
func Run(ctx context.Context, ask Source, every time.Duration, view View, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m := NewModel(ctx, ask, every)
	m.show(view)
	_, err := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out), tea.WithoutSignalHandler()).Run()
	if ctx.Err() != nil && (errors.Is(err, tea.ErrProgramKilled) || errors.Is(err, context.Canceled)) {
		return nil
	}
	return err
}
