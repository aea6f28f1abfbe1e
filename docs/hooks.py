"""The pages that are made from the code: commands from the command line, names from ``wordsight.__all__``."""

import re

import typer


def on_page_markdown(markdown: str, **_: object) -> str:
    """Replace ``<!-- commands -->`` and ``<!-- names -->`` by what the code says."""
    if "<!-- commands -->" in markdown:
        markdown = markdown.replace("<!-- commands -->", commands())
    if "<!-- names -->" in markdown:
        markdown = markdown.replace("<!-- names -->", names())
    return markdown


def commands() -> str:
    """Each command with its help and options."""
    from wordsight.cli import app

    group = typer.main.get_command(app)
    context = typer.Context(group, info_name="wordsight")
    parts = []
    for name in sorted(group.commands):
        command = group.commands[name]
        inner = typer.Context(command, info_name=name, parent=context)
        parts += [f"## wordsight {name}", command.help or "", f"```text\n{_usage(command, inner)}\n```", _table(command, inner)]
    return "\n\n".join(parts)


def _usage(command, context) -> str:
    pieces = " ".join(command.collect_usage_pieces(context))
    return f"wordsight {context.info_name} " + re.sub(r"\{(\w+)\}", lambda found: found[1].upper(), pieces)


def _table(command, context) -> str:
    rows = ["| option | what it does | default |", "|---|---|---|"]
    for parameter in command.params:
        if parameter.name == "help":
            continue
        is_option = parameter.param_type_name == "option"
        named = ", ".join(f"`{option}`" for option in parameter.opts) if is_option else f"`{(parameter.name or '').upper()}`"
        default = parameter.default
        shown = "required" if parameter.required else "" if default in (None, False) or callable(default) else f"`{default}`"
        rows.append(f"| {named} | {_cell(getattr(parameter, 'help', '') or '')} | {shown} |")
    return "\n".join(rows)


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "&lt;")


def names() -> str:
    """A mkdocstrings entry for every public name."""
    import wordsight

    entries = []
    for name in wordsight.__all__:
        if name != "__version__":
            entries.append(f"::: wordsight.{wordsight._HOME_OF[name]}.{name}")
    return "\n\n".join(entries)
