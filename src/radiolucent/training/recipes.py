"""The two training recipes: `classic`, after the Keras project that radiolucent began from, and `strong`, ours."""

from typing import Any

from radiolucent.training.config import TrainConfig

__all__ = ["classic", "strong"]


def classic(*, model: str = "mobilenetv1", **changes: Any) -> TrainConfig:
    """Fine-tune exactly as the Keras project did that radiolucent began from.

    Adam at 0.001 with Keras' time decay of 0.0001 an iteration and Keras' ε of 1e-7; softmax cross entropy without
    weights or smoothing; ReduceLROnPlateau on the validation loss with Keras' defaults (factor 0.1, patience 10,
    min_delta 1e-4); the first 34 of MobileNet v1's 92 layers frozen; the epoch with the lowest validation loss kept.
    No augmentation, so the frozen layers are computed once.

    Networks without those 92 layers (Inception v3, DenseNet, the small CNN) learn in full. `changes` override fields.

    >>> classic().freeze, classic(epochs=3).epochs, classic(model="small_cnn").freeze
    ('34 layers', 3, '0')
    """
    recipe = TrainConfig(
        epochs=20,
        batch_size=32,
        optimizer="adam",
        lr=1e-3,
        lr_decay=1e-4,
        weight_decay=0.0,
        eps=1e-7,
        schedule="plateau",
        warmup_epochs=0.0,
        freeze="34 layers" if model in ("mobilenetv1", "mobilenetv1_100") else "0",
        precision="32",
    )
    return recipe.with_(**changes)


def strong(*, model: str = "mobilenetv1", **changes: Any) -> TrainConfig:
    """Our default: what does best on patient-grouped validation for a few thousand films.

    AdamW with a linear warm-up and a cosine to nothing, label smoothing, balanced class weights, a moving average of
    the weights, and an early stop. Nothing is frozen. The small CNN starts from nothing and takes a higher rate.
    `changes` override fields.

    >>> strong().optimizer, strong(lr=0.1).lr
    ('adamw', 0.1)
    """
    recipe = TrainConfig(
        epochs=20 if model == "small_cnn" else 6,
        batch_size=32,
        optimizer="adamw",
        lr=2e-3 if model == "small_cnn" else 5e-4,
        weight_decay=0.05,
        schedule="cosine",
        warmup_epochs=0.5,
        label_smoothing=0.05,
        class_weights="balanced",
        ema=0.99,
        early_stop=5,
        grad_clip=5.0,
    )
    return recipe.with_(**changes)
