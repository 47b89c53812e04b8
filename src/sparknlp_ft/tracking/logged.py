"""The logged model: a pyfunc with its code, pinned requirements, signature and input example; nothing pickled.

With ``store`` the only file that imports MLflow.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparknlp_ft.models.meta import load_meta
from sparknlp_ft.progress import log
from sparknlp_ft.tracking.patience import at_the_end, patiently, uploading
from sparknlp_ft.tracking.signature import requirements, signature_of
from sparknlp_ft.tracking.store import MODEL_NAME, ModelRef, Run, run_models

if TYPE_CHECKING:
    import pandas as pd


@at_the_end()
def log_model(
    run: Run, model_dir: str | Path, *, text_roles: Sequence[str], example: pd.DataFrame, packages: Sequence[str] = ()
) -> ModelRef:
    """Log a model folder as a pyfunc: code, pinned requirements, signature, input example; nothing pickled.

    MLflow would prove the example by loading the model in a served form (12 s, nearly all of it imports); here it is
    checked against the signature alone. That the model loads and predicts is shown when it is scored with. A run that has its
    model already keeps it: so a job that was cut off behind its training goes on.

    Args:
        run: The run the model belongs to.
        model_dir: What ``save_model`` wrote.
        text_roles: Text roles the model reads.
        example: A few rows with their columns. They are stored with the model: give no confidential text.
        packages: Further packages that the model needs.
    """
    if (there := (run_models(run.store, run.run_id) or {}).get(MODEL_NAME)) is not None:
        log.info("run %s has its model already", run.run_id)
        return _logged(run, there)
    from mlflow.models import Model, ModelSignature

    from sparknlp_ft import __file__ as package

    meta = load_meta(model_dir)
    columns = [meta.columns.get(role, role) for role in text_roles]
    signature = ModelSignature.from_dict(signature_of(columns, meta.fields))
    # MLflow drops what the signature does not name before a model sees it, unless the model says that it checks its inputs
    # itself. A packaged model does: it hands all other columns through.
    signature._is_signature_from_type_hint = bool(meta.columns)
    send = partial(
        Model.log,
        artifact_path=None,
        name=MODEL_NAME,
        flavor=_PlainPyfunc,
        flavor_name="python_function",
        run_id=run.run_id,
        loader_module="sparknlp_ft.tracking.pyfunc",
        data_path=str(model_dir),
        code_paths=[str(Path(package).parent)],
        pip_requirements=requirements(packages),
        signature=signature,
        input_example=example if meta.columns else example[columns],
        validate_serving_input=False,
        metadata={"task": meta.task, "labels": len(meta.labels)},
    )
    with uploading():
        return _logged(run, patiently(send, run.store.uri).model_uri)


def _logged(run: Run, uri: str) -> ModelRef:
    return ModelRef(f"runs:/{run.run_id}/{MODEL_NAME}", run.run_id, run.run_id, uri)


class _PlainPyfunc:
    """The pyfunc flavor for ``Model.log``, which hands ``validate_serving_input`` on to it; MLflow's own refuses that."""

    @staticmethod
    def save_model(path: str, mlflow_model: Any, validate_serving_input: bool, **settings: Any) -> None:
        import mlflow.pyfunc

        mlflow.pyfunc.save_model(path=path, mlflow_model=mlflow_model, **settings)
