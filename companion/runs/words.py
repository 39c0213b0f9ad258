"""What other libraries and papers call the arguments of a training call."""

from collections.abc import Collection

__all__ = ["ours_for"]

THEIRS = {
    "tau": "alpha eta soft_update_tau target_update_rate target_tau step_size",
    "tau = 1 - {}": "polyak decay ema_decay momentum ema_momentum momentum_teacher base_ema beta m target_decay rho",
    "period": "target_update_interval target_update target_update_freq target_update_frequency target_update_period "
    "target_update_every target_network_frequency target_network_update_freq hard_update_every update_target_every c",
    "learning_rate": "lr alpha eta step_size stepsize base_lr init_lr learning_rate_init q_lr",
    "actor_learning_rate": "lr learning_rate actor_lr lr_actor pi_lr policy_lr policy_learning_rate",
    "critic_learning_rate": "lr learning_rate critic_lr lr_critic q_lr qf_lr vf_lr value_lr",
    "temperature_learning_rate": "lr learning_rate alpha_lr lr_alpha ent_lr temperature_lr",
    "predictor_rate": "predictor_lr pred_lr",
    "weight_decay": "wd decay l2",
    "warmup": "warmup_steps warmup_iters warmup_epochs",
    "optimizer": "opt optim",
    "anneal": "cosine scheduler lr_schedule lr_scheduler learning_rate_schedule",
    "gamma": "discount discount_factor discount_rate",
    "batch_size": "batch batchsize minibatch minibatch_size mini_batch_size train_batch_size bs",
    "hidden": "hidden_sizes hidden_size hidden_dim hidden_dims hidden_units hidden_layers layers net_arch units width",
    "buffer_size": "buffer buffer_capacity replay_size replay_buffer_size replay_capacity memory memory_size capacity",
    "learning_starts": "start_steps start_timesteps update_after warmup warmup_steps random_steps min_replay_size",
    "epsilon_start": "epsilon eps eps_start start_e initial_epsilon exploration_initial_eps",
    "epsilon_end": "epsilon eps eps_end end_e final_epsilon epsilon_min min_epsilon exploration_final_eps",
    "epsilon_steps": "epsilon_decay eps_decay epsilon_decay_steps decay_steps exploration_fraction",
    "double_q": "double double_dqn ddqn",
    "error_clip": "delta huber_delta clip_delta",
    "exploration_noise": "action_noise act_noise expl_noise noise noise_std sigma",
    "target_noise": "policy_noise target_policy_noise",
    "target_noise_clip": "noise_clip",
    "policy_delay": "policy_freq policy_frequency actor_delay delay",
    "initial_temperature": "alpha ent_coef temperature init_temperature init_alpha",
    "learn_temperature": "autotune auto_alpha learn_alpha automatic_entropy_tuning",
    "normalization": "norm norm_type layer_norm layernorm use_layer_norm ln batch_norm batchnorm use_batch_norm bn",
    "reset_every": "resets reset_interval reset_freq reset_frequency reset_period",
    "queue_size": "k queue_length num_negatives memory_size",
    "temperature": "t temp softmax_temperature",
    "encoder": "arch backbone model network",
    "embedding": "dim embed_dim embedding_dim embedding_size feature_dim out_dim projection_dim",
    "augmentation": "augment augmentations transform transforms",
    "label_noise": "noise noise_rate",
    "held_out": "test_size test_split val_split validation_split",
    "debias": "bias_correction zero_debias",
    "seeds": "seed n_seeds num_seeds random_state n_envs num_envs n_agents num_agents",
    "steps": "total_timesteps timesteps num_timesteps total_steps num_steps max_steps train_steps total_frames "
    "iterations n_iter max_iter updates num_updates",
    "epochs": "epoch n_epochs num_epochs max_epochs",
    "evaluate_every": "eval_every eval_freq eval_interval evaluation_interval log_interval",
    "evaluation_episodes": "eval_episodes n_eval_episodes num_eval_episodes num_test_episodes",
    "film": "render video record_video",
    "device": "cuda gpu use_gpu",
    "data_parallel": "ddp distributed",
    "checkpoint": "ckpt ckpt_path checkpoint_path save_path resume resume_from",
    "checkpoint_every": "checkpoint_freq checkpoint_interval save_every save_freq",
    "minutes": "time_limit max_time max_minutes timeout",
    "progress": "progress_bar verbose disable_tqdm",
}
"""Ours to theirs, in small letters. Most of a word's meanings exist for few algorithms."""


def ours_for(word: str, known: Collection[str]) -> list[str]:
    """What a word of theirs is here, of the names that are known: ``["period"]``, or ``["tau = 1 - polyak"]``."""
    theirs = word.lower().replace("-", "_")
    return [
        ours.format(word)
        for ours, words in THEIRS.items()
        if theirs in words.split() and ours.partition(" ")[0] in known
    ]
