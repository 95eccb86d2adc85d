// The token, where the relay asks for one: typed in once, kept for this tab.

const KEY = "tickrelay.token";

export class Access {
  constructor(find) {
    this.dialog = find("ask");
    this.why = find("ask-why");
    this.input = find("token");
    this.token = sessionStorage.getItem(KEY) ?? "";
  }

  /** get fetches a path of the relay's API with the token. */
  get(path) {
    return fetch(path, this.token ? { headers: { Authorization: "Bearer " + this.token } } : {});
  }

  /** ensure asks until the relay accepts: the token, "" where none is needed. */
  async ensure() {
    for (;;) {
      let status = 0;
      try {
        status = (await this.get("/api/v1/topics")).status;
      } catch {
        return this.token; // not reachable: the client says so and tries again
      }
      if (status !== 401 && status !== 403) return this.token;
      await this.ask(this.token ? "The relay does not accept this token." : "It is kept in this tab only, until the tab is closed.");
    }
  }

  /** forget drops a token that has expired. */
  forget() {
    this.token = "";
    sessionStorage.removeItem(KEY);
  }

  ask(why) {
    this.why.textContent = why;
    this.input.value = "";
    this.dialog.showModal();
    this.input.focus();
    return new Promise((resolve) => {
      this.dialog.addEventListener("close", () => {
        this.token = this.input.value.trim();
        this.input.value = "";
        sessionStorage.setItem(KEY, this.token);
        resolve();
      }, { once: true });
    });
  }
}
