"""An external extension that does what a file beside its folder says: `../plans/NAME.json`.

The plan: `events` (to register for), `name` (to register by, else its own), `subscribe` (to telemetry, with this body),
`before` (a step before the first next), `on_invoke`, `on_shutdown` (a step at each such event). A step is ["exit",
STATUS], ["sleep", SECONDS], ["hold", PORT] (until that port is closed), ["init/error"] or ["exit/error"]. It writes to
its output what it hears and which variables it has: a line of JSON each, `{"from": NAME, "heard": VALUE}`.
"""

import contextlib
import http.client
import json
import os
import socket
import sys
import time

NAME = os.path.basename(sys.argv[0])
PLANS = os.path.join(os.path.dirname(sys.argv[0]), "..", "plans", NAME)


def note(heard: object) -> None:
    sys.stdout.write(json.dumps({"from": NAME, "heard": heard}) + "\n")
    sys.stdout.flush()


class Extension:
    """The conversation."""

    def __init__(self) -> None:
        self.connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
        self.id = ""

    def request(self, method: str, verb: str, body: str = "", **headers: str) -> http.client.HTTPResponse:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(method, "/2020-01-01/extension/" + verb, body, {**names, "X-From": NAME})
        return self.connection.getresponse()

    def register(self, plan: "dict[str, object]") -> None:
        body = json.dumps({"events": plan["events"]})
        name = str(plan.get("name", NAME))
        answer = self.request(
            "POST", "register", body, Lambda_Extension_Name=name, Lambda_Extension_Accept_Feature="accountId"
        )
        self.id = answer.headers.get("Lambda-Extension-Identifier", "")
        note([answer.status, json.loads(answer.read())])

    def step(self, step: "list[object] | None") -> None:
        if step is None:
            return
        if step[0] == "exit":
            sys.exit(step[1])  # type: ignore[arg-type]  # the plan's affair
        if step[0] == "sleep":
            time.sleep(float(str(step[1])))
            return
        if step[0] == "hold":
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", int(str(step[1])))) as held:
                held.recv(1)
            return
        headers = {"Lambda_Extension_Identifier": self.id, "Lambda_Extension_Function_Error_Type": "Mine.Broken"}
        answer = self.request("POST", str(step[0]), "{}", **headers)
        note([answer.status, json.loads(answer.read())])

    def run(self) -> None:
        with open(PLANS + ".json") as file:
            plan = json.load(file)
        note(dict(os.environ))
        self.register(plan)
        if "subscribe" in plan:
            headers = {"Lambda-Extension-Identifier": self.id}
            self.connection.request("PUT", "/2022-07-01/telemetry", json.dumps(plan["subscribe"]), headers)
            answer = self.connection.getresponse()
            note([answer.status, json.loads(answer.read())])
        self.step(plan.get("before"))
        while True:
            answer = self.request("GET", "event/next", Lambda_Extension_Identifier=self.id)
            event = json.loads(answer.read())
            note(event)
            if event.get("eventType") == "SHUTDOWN":
                self.step(plan.get("on_shutdown"))
                sys.exit(0)
            self.step(plan.get("on_invoke"))


if __name__ == "__main__":
    Extension().run()
