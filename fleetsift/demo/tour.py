"""The demo: the whole way of a frame on embedded parts, by the verbs people use, in a folder to look around in."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

from rich.console import Console

from fleetsift.configuration import read_fleet
from fleetsift.console import Gauge, describe_rows, describe_selection
from fleetsift.demo.ensemble import demo_ensemble
from fleetsift.demo.fleet import write_fleet
from fleetsift.errors import ConfigError
from fleetsift.printing import TableFormat, print_relation
from fleetsift.report.verb import report_batch
from fleetsift.schemas.fleet import FleetSpec
from fleetsift.selectors.batches.batch import write_batch
from fleetsift.selectors.select import select_batch
from fleetsift.store.views import ScoreStore
from fleetsift.streaming.fleet.supervisor import run_fleet
from fleetsift.streaming.kafka.broker import embedded_broker
from fleetsift.streaming.kafka.publish import publish
from fleetsift.streaming.manifests.messages import read_references

_MARK = ".fleetsift-demo"  # a folder with this file in it is ours to empty
_FRAMES_A_SESSION = 40

_FLEET = """\
kafka: {{brokers: ["{broker}"], topic: fleet.frames, partitions: 4}}
frames: {{roots: [fleet/frames]}}
ensemble: {ensemble}
store: {{path: scores}}
metadata:
  city: string
  time_of_day: string
  weather: string
  speed_mps: double
  latitude: double
  longitude: double
workers: {{count: 2}}
selection:
  budget: 40
  objectives:
    - {{kind: score, expression: mutual_information.top, strength: 1.0}}
    - {{kind: diversity, strength: 1.0}}
  constraints:
    - {{kind: cap, key: session_id, most: 5}}
"""

_QUESTIONS = {
    "Which sessions does the ensemble disagree about most?": """
        SELECT session_id, any_value(metadata.city) AS city, any_value(metadata.time_of_day) AS time_of_day,
               any_value(metadata.weather) AS weather, count(*) AS frames,
               round(max(mutual_information.top), 3) AS most_mi, round(avg(mutual_information.mean), 4) AS mean_mi
        FROM frames GROUP BY session_id ORDER BY most_mi DESC LIMIT 5""",
    "Is night harder than day, and rain harder than sun?": """
        SELECT metadata.time_of_day AS time_of_day, metadata.weather AS weather, count(*) AS frames,
               round(avg(entropy.mean), 3) AS entropy, round(avg(mutual_information.mean), 4) AS mutual_information
        FROM frames GROUP BY ALL ORDER BY mutual_information DESC""",
    "In which frames do people and bicycles divide the ensemble?": """
        SELECT frame_id, round(mutual_information.by_class.person, 5) AS mi_person,
               round(mutual_information.by_class.bicycle, 5) AS mi_bicycle, round(area.bicycle, 4) AS area_bicycle
        FROM frames
        ORDER BY mutual_information.by_class.person + mutual_information.by_class.bicycle DESC LIMIT 5""",
}


def take_tour(folder: Path, frames: int, stop: Event) -> None:
    """Simulate about so many frames in a folder, score them, and print what came of it, the report's path last.

    Ends early, with everything published, when `stop` is set. Raises ConfigError where the folder is somebody else's.
    """
    console = Console(highlight=False)
    began = time.monotonic()

    def say(text: str) -> None:
        console.print(f"[dim]{time.monotonic() - began:5.1f} s[/dim]  {text}", soft_wrap=True)

    _clear(folder)
    say(f"drawing a small fleet in {folder}/fleet")
    sessions = max(3, round(frames / _FRAMES_A_SESSION))
    with console.status("") as status:

        def show_drawn(done: int, total: int) -> None:
            if stop.is_set():
                raise KeyboardInterrupt  # there is nothing to drain yet
            status.update(f"{done} of {total} frames")

        announced = write_fleet(folder / "fleet", 1, sessions, _FRAMES_A_SESSION, show_drawn)
    say(f"{len(announced)} frames of {sessions} sessions, with their true labels")
    with embedded_broker() as broker:
        (folder / "fleet.yaml").write_text(_FLEET.format(broker=broker, ensemble=demo_ensemble()))
        spec = read_fleet(folder / "fleet.yaml")
        publish(spec.kafka, read_references(folder / "fleet" / "frames.jsonl"))
        say(f"published their references to {spec.kafka.topic}, on an embedded broker at {broker}")
        say("starting a local Ray and two workers; each owns two of the topic's four partitions")
        with Gauge() as gauge:
            done = run_fleet(spec, until_end=True, stop=stop, on_progress=gauge.show)
        say(f"scored {done.frames} frames {done.elapsed_s:.1f} s after Ray was up: {describe_rows(done.rows)}")
    if stop.is_set() or not done.frames:
        return
    with ScoreStore(spec.store.path) as store:
        _answer(store, spec, say)
        selection = select_batch(store, spec.selection)
        write_batch(folder / "batch", selection, store.snapshot())
    say(describe_selection(selection, folder / "batch"))
    report_batch(spec, folder / "batch", folder / "report.html")
    say(f"everything is in {folder}; the broker and Ray are gone. The report, to open in a browser:")
    console.print(str((folder / "report.html").resolve()), soft_wrap=True)


def _answer(store: ScoreStore, spec: FleetSpec, say: Callable[[str], None]) -> None:
    say(f"asking the store; ask it more with: fleetsift sql {spec.store.path} QUERY")
    for question, query in _QUESTIONS.items():
        say(f"[bold]{question}[/bold]")
        print_relation(store.sql(query), TableFormat.TABLE)


def _clear(folder: Path) -> None:
    """Empty the folder of an earlier demo; anybody else's is left alone."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / _MARK).is_file():
        raise ConfigError(f"{folder}: expected a new or empty folder, or one of an earlier demo; name another by --out")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / _MARK).touch()
