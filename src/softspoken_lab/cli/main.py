"""The command `softspoken-lab`: studies, analyses, test sets, benchmarks. torch is imported only when a verb runs."""

from softspoken.cli.main import new_app, run_app

app = new_app(
    "softspoken-lab", "The laboratory of softspoken: the papers' studies, what prompts do, and how fast everything is."
)


def _register() -> None:
    from softspoken_lab.cli import (
        analyse,
        analyse_report,
        analyse_study,
        attacks,
        bench,
        corpora,
        curves,
        detail,
        evaluate,
        grid,
        meetings,
        noise,
        noisy,
        prompts,
        scenes,
        silence,
        studies,
        train,
    )

    app.command("train")(train.train)
    app.command("export")(train.export)
    app.command("evaluate")(evaluate.evaluate)
    app.command("study")(studies.study)
    app.command("search")(studies.search)
    app.command("score")(studies.score)
    app.command("compare")(studies.compare)
    app.command("attacks")(attacks.attacks)
    app.command("detail")(detail.detail)
    app.command("curves")(curves.curves)
    app.command("calibrate")(silence.calibrate)
    app.command("silence")(silence.silence)
    app.command("hallucinations")(silence.hallucinations)
    app.command("prepare")(corpora.prepare)
    app.command("check")(corpora.check)
    app.command("mixtures")(scenes.mixtures)
    app.command("vary")(scenes.vary)
    app.command("conversations")(meetings.conversations)
    app.command("meetings")(meetings.meetings)
    app.command("grid")(grid.grid)
    app.command("noisy")(noisy.noisy)
    app.add_typer(noise.app)
    app.command("import")(prompts.import_)
    app.command("average")(prompts.average_)
    analyse.app.command("report")(analyse_report.report)
    analyse.app.command("study")(analyse_study.study)
    app.add_typer(analyse.app)
    app.command("bench")(bench.bench)


_register()


def run() -> None:
    """The command `softspoken-lab`."""
    run_app(app)


if __name__ == "__main__":
    run()
